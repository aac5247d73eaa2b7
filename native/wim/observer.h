// Whoever watches an operation: hears of its progress, answers its questions, and may cancel it.
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
  // An event that counts how far `subject` is, which begins with the event's type. The newest may replace those before
  // it with the same subject.
  virtual void ReportCount(const std::string& subject, Object event) = 0;
  // Waits for the answer; nothing once it is cancelled.
  virtual std::optional<Value> Ask(Object question) = 0;

 private:
  std::atomic<bool> cancelled_{false};
};

// libwim's messages for an observer, while one call of libwim is under way. Its address is the `progctx`.
class Progress {
 public:
  explicit Progress(Observer& observer) : observer_(observer) {}
  // Files are scanned with libwim's VERBOSE, so that a scan can be cancelled, but nobody asked for their names.
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
