// Compares every kernel that this processor runs, the matrix and the hashes with slow ones that follow the definitions.
// Prints the names of the kernels and exits with 0, or says what differs and exits with 1.
#include <cstdio>
#include <random>
#include <vector>

#include "recovery/galois.h"
#include "recovery/kernel.h"
#include "recovery/matrix.h"
#include "recovery/md5.h"

using namespace stowage::recovery;

namespace {

std::mt19937 random_number(7);

// Multiplication of polynomials over GF(2), reduced by x^16 + x^12 + x^3 + x + 1.
uint16_t SlowProduct(uint16_t a, uint16_t b) {
  uint32_t product = 0;
  for (int bit = 0; bit < 16; bit++) {
    if (b >> bit & 1) product ^= static_cast<uint32_t>(a) << bit;
  }
  for (int bit = 31; bit >= 16; bit--) {
    if (product >> bit & 1) product ^= 0x1100Bu << (bit - 16);
  }
  return static_cast<uint16_t>(product);
}

int Fail(const char* what, const char* kernel = "") {
  std::printf("%s %s differs\n", kernel, what);
  return 1;
}

std::vector<uint8_t> Noise(size_t size) {
  std::vector<uint8_t> bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random_number());
  return bytes;
}

uint16_t Word(const std::vector<uint8_t>& bytes, size_t at) {
  return static_cast<uint16_t>(bytes[at] | bytes[at + 1] << 8);
}

int CheckField() {
  for (int n = 0; n < 200000; n++) {
    const auto a = static_cast<uint16_t>(random_number());
    const auto b = static_cast<uint16_t>(random_number());
    if (Multiply(a, b) != SlowProduct(a, b)) return Fail("product");
    if (a != 0 && SlowProduct(a, Inverse(a)) != 1) return Fail("inverse");
  }
  uint16_t power = 1;
  for (uint32_t n = 0; n < 1000; n++, power = SlowProduct(power, 0x1234)) {
    if (Power(0x1234, n) != power) return Fail("power");
  }
  // The specification's table of constants begins so, and its last is 2^65534.
  const std::vector<uint16_t> constants = BlockConstants(kMostBlocks);
  const std::vector<uint16_t> first = {2, 4, 16, 128, 256, 2048, 8192, 16384, 4107, 32856, 17132};
  if (!std::equal(first.begin(), first.end(), constants.begin())) return Fail("constants");
  return constants.size() == kMostBlocks && SlowProduct(constants.back(), 2) == 1 ? 0 : Fail("last constant");
}

int CheckKernel(const Kernel& kernel) {
  for (const size_t size : {64u, 128u, 192u, 4096u}) {
    const std::vector<uint8_t> data = Noise(size);
    const std::vector<uint8_t> before = Noise(size);
    std::vector<uint8_t> spread(size), sum(size), factor(size * 2);
    kernel.spread(spread.data(), data.data(), size);
    kernel.split(factor.data(), spread.data(), size);
    for (int n = 0; n < 300; n++) {
      const auto number = static_cast<uint16_t>(n < 3 ? n : random_number());
      kernel.spread(sum.data(), before.data(), size);
      kernel.add(sum.data(), factor.data(), number, size);
      kernel.gather(sum.data(), size);
      for (size_t at = 0; at < size; at += 2) {
        if (Word(sum, at) != (Word(before, at) ^ SlowProduct(Word(data, at), number))) return Fail("sum", kernel.name);
      }
    }
  }
  return 0;
}

int CheckMatrix(const Kernel& kernel) {
  for (const size_t order : {1u, 2u, 33u, 100u}) {
    Matrix matrix(order, kernel);
    std::vector<std::vector<uint16_t>> copy(order, std::vector<uint16_t>(order));
    for (size_t row = 0; row < order; row++) {
      for (size_t column = 0; column < order; column++) {
        // Zeros on the diagonal, so that rows must be swapped
        copy[row][column] = static_cast<uint16_t>(row == column ? 0 : random_number());
        if (order == 1) copy[row][column] = 77;
        matrix.Set(row, column, copy[row][column]);
      }
    }
    if (matrix.Invert([] {})) return Fail("order of a matrix", kernel.name);
    for (size_t row = 0; row < order; row++) {
      for (size_t column = 0; column < order; column++) {
        uint16_t sum = 0;
        for (size_t n = 0; n < order; n++) sum ^= SlowProduct(copy[row][n], matrix.At(n, column));
        if (sum != (row == column ? 1 : 0)) return Fail("inverse of a matrix", kernel.name);
      }
    }
  }
  Matrix singular(3, kernel);
  for (size_t column = 0; column < 3; column++) {
    singular.Set(0, column, static_cast<uint16_t>(column + 1));
    singular.Set(1, column, static_cast<uint16_t>(column * 5 + 9));
    singular.Set(2, column, static_cast<uint16_t>((column + 1) ^ (column * 5 + 9)));
  }
  return singular.Invert([] {}) ? 0 : Fail("singular matrix", kernel.name);
}

int CheckMd5() {
  for (const size_t size : {0u, 1u, 55u, 56u, 63u, 64u, 65u, 4096u, 10000u}) {
    std::vector<std::vector<uint8_t>> blocks;
    Md5Lanes::Pieces pieces;
    for (size_t n = 0; n < pieces.size(); n++) {
      blocks.push_back(Noise(size + 1));
      pieces[n] = blocks.back().data();
    }
    Md5Lanes lanes;
    // In two steps where it can be
    const size_t first = size / 128 * 64;
    lanes.Update(pieces, first);
    for (const uint8_t*& piece : pieces) piece += first;
    lanes.Update(pieces, size - first);
    const auto hashes = lanes.Finish();
    for (size_t n = 0; n < pieces.size(); n++) {
      stowage::Md5 md5;
      md5.Update(blocks[n].data(), size);
      if (md5.Finish() != hashes[n]) return Fail("MD5");
    }
  }
  return 0;
}

}  // namespace

int main() {
  int failed = CheckField() + CheckMd5();
  for (const Kernel* const kernel : Kernels()) {
    failed += CheckKernel(*kernel) + CheckMatrix(*kernel);
    std::printf("%s\n", kernel->name);
  }
  return failed == 0 ? 0 : 1;
}
