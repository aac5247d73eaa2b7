#include "galois.h"

namespace stowage::recovery {

namespace {

constexpr uint32_t kOrder = 65535;

struct Tables {
  std::vector<uint16_t> log = std::vector<uint16_t>(kOrder + 1);
  std::vector<uint16_t> power = std::vector<uint16_t>(kOrder);

  Tables() {
    uint16_t value = 1;
    for (uint32_t n = 0; n < kOrder; n++) {
      power[n] = value;
      log[value] = static_cast<uint16_t>(n);
      value = Double(value);
    }
  }
};

const Tables& Field() {
  static const Tables kTables;
  return kTables;
}

}  // namespace

uint16_t Multiply(uint16_t a, uint16_t b) {
  if (a == 0 || b == 0) return 0;
  const Tables& field = Field();
  return field.power[(static_cast<uint32_t>(field.log[a]) + field.log[b]) % kOrder];
}

uint16_t Inverse(uint16_t a) {
  const Tables& field = Field();
  return field.power[(kOrder - field.log[a]) % kOrder];
}

uint16_t Power(uint16_t base, uint32_t exponent) {
  if (exponent == 0) return 1;
  if (base == 0) return 0;
  const Tables& field = Field();
  return field.power[static_cast<uint64_t>(field.log[base]) * exponent % kOrder];
}

std::vector<uint16_t> BlockConstants(size_t count) {
  std::vector<uint16_t> constants;
  constants.reserve(count);
  const Tables& field = Field();
  for (uint32_t n = 1; n < kOrder && constants.size() < count; n++) {
    if (n % 3 != 0 && n % 5 != 0 && n % 17 != 0 && n % 257 != 0) constants.push_back(field.power[n]);
  }
  return constants;
}

}  // namespace stowage::recovery
