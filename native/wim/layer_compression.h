// How a layer is compressed.
#ifndef STOWAGE_WIM_LAYER_COMPRESSION_H_
#define STOWAGE_WIM_LAYER_COMPRESSION_H_

namespace wim {

enum class LayerCompression { kNone, kGzip, kZstd };

}  // namespace wim

#endif  // STOWAGE_WIM_LAYER_COMPRESSION_H_
