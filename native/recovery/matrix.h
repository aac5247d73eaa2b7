// Square matrices over GF(2^16), as repair needs them.
#ifndef STOWAGE_RECOVERY_MATRIX_H_
#define STOWAGE_RECOVERY_MATRIX_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "kernel.h"

namespace stowage::recovery {

class Matrix {
 public:
  // All zero.
  Matrix(size_t order, const Kernel& kernel);

  uint16_t At(size_t row, size_t column) const { return WordAt(Row(row), column, kernel_.width); }
  void Set(size_t row, size_t column, uint16_t value) { SetWord(Row(row), column, kernel_.width, value); }

  // Replaces the matrix by its inverse. If there is none, returns a row that depends on others, and the matrix is of no
  // use. `go_on` is called for each row, and may throw.
  std::optional<size_t> Invert(const std::function<void()>& go_on);

 private:
  uint8_t* Row(size_t row) { return words_.data() + row * stride_; }
  const uint8_t* Row(size_t row) const { return words_.data() + row * stride_; }

  const size_t order_;
  const Kernel& kernel_;
  const size_t stride_;
  std::vector<uint8_t> words_;
};

}  // namespace stowage::recovery

#endif  // STOWAGE_RECOVERY_MATRIX_H_
