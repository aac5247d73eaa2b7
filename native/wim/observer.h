// The observer of an operation: receives its progress, answers its questions, and may cancel it.
#ifndef STOWAGE_WIM_OBSERVER_H_
#define STOWAGE_WIM_OBSERVER_H_

#include <wimlib.h>

#include <atomic>
#include <optional>
#include <string>

#include "value.h"

namespace stowage::wim {

class Observer {
 public:
  virtual ~Observer() = default;

  void Cancel() { cancelled_ = true; }
  bool cancelled() const { return cancelled_; }

  // `event` has a member `type`.
  virtual void Report(Object event) = 0;
  // An event that says how far `subject` has come. It may replace earlier ones with the same subject, which begins with
  // the event's type.
  virtual void ReportCount(const std::string& subject, Object event) = 0;
  // Waits for the answer; returns nothing once cancelled.
  virtual std::optional<Value> Ask(Object question) = 0;

 private:
  std::atomic<bool> cancelled_{false};
};

// Passes libwim's messages to an observer during one call of libwim. Its address is the `progctx`.
class Progress {
 public:
  explicit Progress(Observer& observer) : observer_(observer) {}
  // For a scan that uses libwim's VERBOSE only to be cancellable, when the names of files are not wanted.
  void HideNames() { names_hidden_ = true; }
  static wimlib_progress_status Handle(wimlib_progress_msg message, wimlib_progress_info* info, void* progress);

 private:
  void Report(wimlib_progress_msg message, wimlib_progress_info* info);
  void AskForPartName(wimlib_progress_info* info);

  Observer& observer_;
  bool names_hidden_ = false;
  // The name of a part that JavaScript chose: libwim reads it after the call returns.
  std::basic_string<wimlib_tchar> part_name_;
};

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_OBSERVER_H_
