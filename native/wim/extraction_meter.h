// Reports how far an extraction has come, with the events of libwim.
#ifndef STOWAGE_WIM_EXTRACTION_METER_H_
#define STOWAGE_WIM_EXTRACTION_METER_H_

#include <chrono>
#include <cstdint>
#include <string>

#include "../base/error.h"
#include "extractor.h"

namespace stowage::wim {

// Its counts, for the caller to change, are those of libwim. Throws ABORTED from Count() once the observer is
// cancelled.
class ExtractionMeter {
 public:
  ExtractionMeter(const Extraction& extraction, uint32_t image, const std::string& target, Observer& observer)
      : extraction_(extraction), image_(image), target_(target), observer_(observer) {}

  // One of those that are no counts.
  void Report(const char* type) { observer_.Report(Event(type)); }
  // How far `type` has come, unless that was reported a moment ago.
  void Count(const char* type) {
    if (observer_.cancelled()) throw Error("ABORTED", "interrupted before the end");
    const auto now = std::chrono::steady_clock::now();
    if (now - reported_ >= kBetweenReports) CountNow(type);
  }
  void CountNow(const char* type) {
    reported_ = std::chrono::steady_clock::now();
    observer_.ReportCount(std::string(type) + ":" + std::to_string(image_) + ":" + target_, Event(type));
  }

  uint64_t total_bytes = 0;
  uint64_t completed_bytes = 0;
  uint64_t total_streams = 0;
  uint64_t completed_streams = 0;
  uint64_t file_count = 0;
  uint64_t end_file_count = 0;

 private:
  static constexpr std::chrono::milliseconds kBetweenReports{50};

  Object Event(const char* type) const {
    return {{"type", type},
            {"image", image_},
            {"imageName", extraction_.image_names.at(image_ - 1)},
            {"path", extraction_.archive->path()},
            {"target", target_},
            {"totalBytes", total_bytes},
            {"completedBytes", completed_bytes},
            {"totalStreams", total_streams},
            {"completedStreams", completed_streams},
            {"currentFileCount", file_count},
            {"endFileCount", end_file_count},
            {"partNumber", 0},
            {"totalParts", 0}};
  }

  const Extraction& extraction_;
  const uint32_t image_;
  const std::string target_;
  Observer& observer_;
  std::chrono::steady_clock::time_point reported_;
};

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_EXTRACTION_METER_H_
