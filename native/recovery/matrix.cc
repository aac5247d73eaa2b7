#include "matrix.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "galois.h"

namespace stowage::recovery {

Matrix::Matrix(size_t order, const Kernel& kernel)
    : order_(order), kernel_(kernel), stride_((order * 2 + kGroup - 1) / kGroup * kGroup), words_(stride_ * order) {}

// Gauss-Jordan elimination in place.
std::optional<size_t> Matrix::Invert(const std::function<void()>& go_on) {
  std::vector<size_t> origin(order_);  // where each row was
  std::vector<uint8_t> factor(stride_ * 2);
  std::iota(origin.begin(), origin.end(), 0);
  for (size_t k = 0; k < order_; k++) {
    go_on();
    size_t pivot = k;
    while (pivot < order_ && At(pivot, k) == 0) pivot++;
    if (pivot == order_) return origin[k];
    if (pivot != k) {
      std::swap_ranges(Row(k), Row(k) + stride_, Row(pivot));
      std::swap(origin[k], origin[pivot]);
    }
    const uint16_t inverse = Inverse(At(k, k));
    Set(k, k, 1);
    // The row lacks (inverse - 1) times itself, and then is taken from the others
    kernel_.split(factor.data(), Row(k), stride_);
    kernel_.add(Row(k), factor.data(), static_cast<uint16_t>(inverse ^ 1), stride_);
    kernel_.split(factor.data(), Row(k), stride_);
    for (size_t row = 0; row < order_; row++) {
      const uint16_t number = At(row, k);
      if (row == k || number == 0) continue;
      Set(row, k, 0);
      kernel_.add(Row(row), factor.data(), number, stride_);
    }
  }
  // The rows were swapped, so the columns of the inverse are: column k belongs to what was row origin[k]
  std::vector<uint16_t> line(order_);
  for (size_t row = 0; row < order_; row++) {
    for (size_t k = 0; k < order_; k++) line[origin[k]] = At(row, k);
    for (size_t column = 0; column < order_; column++) Set(row, column, line[column]);
  }
  return std::nullopt;
}

}  // namespace stowage::recovery
