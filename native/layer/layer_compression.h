// How a layer is compressed.
#ifndef STOWAGE_LAYER_LAYER_COMPRESSION_H_
#define STOWAGE_LAYER_LAYER_COMPRESSION_H_

namespace stowage::layer {

enum class LayerCompression { kNone, kGzip, kZstd };

}  // namespace stowage::layer

#endif  // STOWAGE_LAYER_LAYER_COMPRESSION_H_
