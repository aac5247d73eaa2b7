#include "observer.h"

#include "library.h"
#include "text.h"

namespace stowage::wim {

namespace {

const char* TypeOf(wimlib_progress_msg message) {
  switch (message) {
    case WIMLIB_PROGRESS_MSG_EXTRACT_IMAGE_BEGIN: return "extract-image-begin";
    case WIMLIB_PROGRESS_MSG_EXTRACT_TREE_BEGIN: return "extract-tree-begin";
    case WIMLIB_PROGRESS_MSG_EXTRACT_FILE_STRUCTURE: return "extract-file-structure";
    case WIMLIB_PROGRESS_MSG_EXTRACT_STREAMS: return "extract-streams";
    case WIMLIB_PROGRESS_MSG_EXTRACT_SPWM_PART_BEGIN: return "extract-part-begin";
    case WIMLIB_PROGRESS_MSG_EXTRACT_METADATA: return "extract-metadata";
    case WIMLIB_PROGRESS_MSG_EXTRACT_IMAGE_END: return "extract-image-end";
    case WIMLIB_PROGRESS_MSG_EXTRACT_TREE_END: return "extract-tree-end";
    case WIMLIB_PROGRESS_MSG_SCAN_BEGIN: return "scan-begin";
    case WIMLIB_PROGRESS_MSG_SCAN_DENTRY: return "scan-dentry";
    case WIMLIB_PROGRESS_MSG_SCAN_END: return "scan-end";
    case WIMLIB_PROGRESS_MSG_WRITE_STREAMS: return "write-streams";
    case WIMLIB_PROGRESS_MSG_WRITE_METADATA_BEGIN: return "write-metadata-begin";
    case WIMLIB_PROGRESS_MSG_WRITE_METADATA_END: return "write-metadata-end";
    case WIMLIB_PROGRESS_MSG_RENAME: return "rename";
    case WIMLIB_PROGRESS_MSG_VERIFY_INTEGRITY: return "verify-integrity";
    case WIMLIB_PROGRESS_MSG_CALC_INTEGRITY: return "calculate-integrity";
    case WIMLIB_PROGRESS_MSG_SPLIT_BEGIN_PART: return "split-begin-part";
    case WIMLIB_PROGRESS_MSG_SPLIT_END_PART: return "split-end-part";
    case WIMLIB_PROGRESS_MSG_UPDATE_BEGIN_COMMAND: return "update-begin-command";
    case WIMLIB_PROGRESS_MSG_UPDATE_END_COMMAND: return "update-end-command";
    case WIMLIB_PROGRESS_MSG_REPLACE_FILE_IN_WIM: return "replace-file";
    case WIMLIB_PROGRESS_MSG_WIMBOOT_EXCLUDE: return "wimboot-exclude";
    case WIMLIB_PROGRESS_MSG_UNMOUNT_BEGIN: return "unmount-begin";
    case WIMLIB_PROGRESS_MSG_DONE_WITH_FILE: return "done-with-file";
    case WIMLIB_PROGRESS_MSG_BEGIN_VERIFY_IMAGE: return "verify-image-begin";
    case WIMLIB_PROGRESS_MSG_END_VERIFY_IMAGE: return "verify-image-end";
    case WIMLIB_PROGRESS_MSG_VERIFY_STREAMS: return "verify-streams";
    case WIMLIB_PROGRESS_MSG_TEST_FILE_EXCLUSION:
    case WIMLIB_PROGRESS_MSG_HANDLE_ERROR: break;
  }
  return nullptr;
}

using Scan = wimlib_progress_info::wimlib_progress_info_scan;

const char* StatusOf(const Scan& scan) {
  switch (scan.status) {
    case Scan::WIMLIB_SCAN_DENTRY_EXCLUDED: return "excluded";
    case Scan::WIMLIB_SCAN_DENTRY_UNSUPPORTED: return "unsupported";
    case Scan::WIMLIB_SCAN_DENTRY_FIXED_SYMLINK: return "fixed-symlink";
    case Scan::WIMLIB_SCAN_DENTRY_NOT_FIXED_SYMLINK: return "not-fixed-symlink";
    default: return "ok";
  }
}

Value OptionalText(const wimlib_tchar* text) { return text == nullptr ? Value() : Value(FromLibrary(text)); }

Object ExtractEvent(const wimlib_progress_info& info) {
  const auto& extract = info.extract;
  return {{"image", extract.image},
          {"imageName", FromLibrary(extract.image_name)},
          {"path", OptionalText(extract.wimfile_name)},
          {"target", FromLibrary(extract.target)},
          {"totalBytes", extract.total_bytes},
          {"completedBytes", extract.completed_bytes},
          {"totalStreams", extract.total_streams},
          {"completedStreams", extract.completed_streams},
          {"currentFileCount", extract.current_file_count},
          {"endFileCount", extract.end_file_count},
          {"partNumber", extract.part_number},
          {"totalParts", extract.total_parts}};
}

Object ScanEvent(wimlib_progress_msg message, const wimlib_progress_info& info) {
  const auto& scan = info.scan;
  Object event = {{"source", FromLibrary(scan.source)},
                  {"directories", scan.num_dirs_scanned},
                  {"files", scan.num_nondirs_scanned},
                  {"size", scan.num_bytes_scanned}};
  if (message != WIMLIB_PROGRESS_MSG_SCAN_DENTRY) {
    event.emplace_back("target", FromLibrary(scan.wim_target_path));
    return event;
  }
  const bool link = scan.status == Scan::WIMLIB_SCAN_DENTRY_FIXED_SYMLINK ||
                    scan.status == Scan::WIMLIB_SCAN_DENTRY_NOT_FIXED_SYMLINK;
  event.emplace_back("path", FromLibrary(scan.cur_path));
  event.emplace_back("status", StatusOf(scan));
  event.emplace_back("linkTarget", link ? OptionalText(scan.symlink_target) : Value());
  return event;
}

Object UpdateEvent(const wimlib_progress_info& info) {
  const wimlib_update_command& command = *info.update.command;
  const char* operation = "add";
  List paths;
  if (command.op == WIMLIB_UPDATE_OP_DELETE) {
    operation = "delete";
    paths = {FromLibrary(command.delete_.wim_path)};
  } else if (command.op == WIMLIB_UPDATE_OP_RENAME) {
    operation = "rename";
    paths = {FromLibrary(command.rename.wim_source_path), FromLibrary(command.rename.wim_target_path)};
  } else {
    paths = {FromLibrary(command.add.fs_source_path), FromLibrary(command.add.wim_target_path)};
  }
  return {{"command", operation},
          {"paths", std::move(paths)},
          {"completedCommands", static_cast<uint64_t>(info.update.completed_commands)},
          {"totalCommands", static_cast<uint64_t>(info.update.total_commands)}};
}

Object WriteEvent(const wimlib_progress_info& info) {
  const auto& write = info.write_streams;
  return {{"totalBytes", write.total_bytes},
          {"completedBytes", write.completed_bytes},
          {"completedCompressedBytes", write.completed_compressed_bytes},
          {"totalStreams", write.total_streams},
          {"completedStreams", write.completed_streams},
          {"threads", write.num_threads},
          {"compression", static_cast<int>(write.compression_type)},
          {"totalParts", write.total_parts}};
}

Object IntegrityEvent(const wimlib_progress_info& info) {
  const auto& integrity = info.integrity;
  return {{"path", OptionalText(integrity.filename)},      {"totalBytes", integrity.total_bytes},
          {"completedBytes", integrity.completed_bytes},   {"totalChunks", integrity.total_chunks},
          {"completedChunks", integrity.completed_chunks}, {"chunkSize", integrity.chunk_size}};
}

Object SplitEvent(const wimlib_progress_info& info) {
  const auto& split = info.split;
  return {{"totalBytes", split.total_bytes},
          {"completedBytes", split.completed_bytes},
          {"partNumber", static_cast<uint32_t>(split.cur_part_number)},
          {"totalParts", static_cast<uint32_t>(split.total_parts)},
          {"partName", FromLibrary(split.part_name)}};
}

Object EventOf(wimlib_progress_msg message, const wimlib_progress_info& info) {
  switch (message) {
    case WIMLIB_PROGRESS_MSG_EXTRACT_IMAGE_BEGIN:
    case WIMLIB_PROGRESS_MSG_EXTRACT_TREE_BEGIN:
    case WIMLIB_PROGRESS_MSG_EXTRACT_FILE_STRUCTURE:
    case WIMLIB_PROGRESS_MSG_EXTRACT_STREAMS:
    case WIMLIB_PROGRESS_MSG_EXTRACT_SPWM_PART_BEGIN:
    case WIMLIB_PROGRESS_MSG_EXTRACT_METADATA:
    case WIMLIB_PROGRESS_MSG_EXTRACT_IMAGE_END:
    case WIMLIB_PROGRESS_MSG_EXTRACT_TREE_END: return ExtractEvent(info);
    case WIMLIB_PROGRESS_MSG_SCAN_BEGIN:
    case WIMLIB_PROGRESS_MSG_SCAN_DENTRY:
    case WIMLIB_PROGRESS_MSG_SCAN_END: return ScanEvent(message, info);
    case WIMLIB_PROGRESS_MSG_WRITE_STREAMS: return WriteEvent(info);
    case WIMLIB_PROGRESS_MSG_RENAME:
      return {{"from", FromLibrary(info.rename.from)}, {"to", FromLibrary(info.rename.to)}};
    case WIMLIB_PROGRESS_MSG_VERIFY_INTEGRITY:
    case WIMLIB_PROGRESS_MSG_CALC_INTEGRITY: return IntegrityEvent(info);
    case WIMLIB_PROGRESS_MSG_SPLIT_BEGIN_PART:
    case WIMLIB_PROGRESS_MSG_SPLIT_END_PART: return SplitEvent(info);
    case WIMLIB_PROGRESS_MSG_UPDATE_BEGIN_COMMAND:
    case WIMLIB_PROGRESS_MSG_UPDATE_END_COMMAND: return UpdateEvent(info);
    case WIMLIB_PROGRESS_MSG_REPLACE_FILE_IN_WIM: return {{"path", FromLibrary(info.replace.path_in_wim)}};
    case WIMLIB_PROGRESS_MSG_WIMBOOT_EXCLUDE:
      return {{"path", FromLibrary(info.wimboot_exclude.path_in_wim)},
              {"extractionPath", FromLibrary(info.wimboot_exclude.extraction_path)}};
    case WIMLIB_PROGRESS_MSG_UNMOUNT_BEGIN:
      return {{"mountPoint", FromLibrary(info.unmount.mountpoint)},
              {"path", FromLibrary(info.unmount.mounted_wim)},
              {"image", info.unmount.mounted_image}};
    case WIMLIB_PROGRESS_MSG_DONE_WITH_FILE: return {{"path", FromLibrary(info.done_with_file.path_to_file)}};
    case WIMLIB_PROGRESS_MSG_BEGIN_VERIFY_IMAGE:
    case WIMLIB_PROGRESS_MSG_END_VERIFY_IMAGE:
      return {{"image", info.verify_image.current_image}, {"totalImages", info.verify_image.total_images}};
    case WIMLIB_PROGRESS_MSG_VERIFY_STREAMS:
      return {{"totalBytes", info.verify_streams.total_bytes},
              {"completedBytes", info.verify_streams.completed_bytes},
              {"totalStreams", info.verify_streams.total_streams},
              {"completedStreams", info.verify_streams.completed_streams}};
    default: return {};
  }
}

// The subject of a message that is a count: only the newest of each subject is needed.
std::optional<std::string> SubjectOf(wimlib_progress_msg message, const wimlib_progress_info& info) {
  switch (message) {
    case WIMLIB_PROGRESS_MSG_EXTRACT_FILE_STRUCTURE:
    case WIMLIB_PROGRESS_MSG_EXTRACT_STREAMS:
    case WIMLIB_PROGRESS_MSG_EXTRACT_METADATA:
      return std::to_string(info.extract.part_number) + ":" + std::to_string(info.extract.image) + ":" +
             FromLibrary(info.extract.target);
    case WIMLIB_PROGRESS_MSG_VERIFY_INTEGRITY:
    case WIMLIB_PROGRESS_MSG_CALC_INTEGRITY:
      return info.integrity.filename == nullptr ? std::string() : FromLibrary(info.integrity.filename);
    case WIMLIB_PROGRESS_MSG_WRITE_STREAMS:
    case WIMLIB_PROGRESS_MSG_VERIFY_STREAMS: return std::string();
    default: return std::nullopt;
  }
}

bool Yes(const std::optional<Value>& answer) {
  const bool* yes = answer ? std::get_if<bool>(&*answer) : nullptr;
  return yes != nullptr && *yes;
}

}  // namespace

wimlib_progress_status Progress::Handle(wimlib_progress_msg message, wimlib_progress_info* info, void* progress) {
  auto* self = static_cast<Progress*>(progress);
  try {
    if (!self->observer_.cancelled()) self->Report(message, info);
  } catch (...) {
    // libwim is C: nothing may be thrown through it. Only a lack of memory can get here.
    self->observer_.Cancel();
  }
  return self->observer_.cancelled() ? WIMLIB_PROGRESS_STATUS_ABORT : WIMLIB_PROGRESS_STATUS_CONTINUE;
}

void Progress::Report(wimlib_progress_msg message, wimlib_progress_info* info) {
  if (message == WIMLIB_PROGRESS_MSG_TEST_FILE_EXCLUSION) {
    const auto answer = observer_.Ask({{"type", "exclude"}, {"path", FromLibrary(info->test_file_exclusion.path)}});
    info->test_file_exclusion.will_exclude = Yes(answer);
    return;
  }
  if (message == WIMLIB_PROGRESS_MSG_HANDLE_ERROR) {
    const int code = info->handle_error.error_code;
    const auto answer = observer_.Ask({{"type", "error"},
                                       {"path", FromLibrary(info->handle_error.path)},
                                       {"code", LibraryErrorName(code)},
                                       {"message", LibraryErrorText(code)},
                                       {"details", LibraryErrorDetails()}});
    info->handle_error.will_ignore = Yes(answer);
    return;
  }
  const bool name = message == WIMLIB_PROGRESS_MSG_SCAN_DENTRY || message == WIMLIB_PROGRESS_MSG_REPLACE_FILE_IN_WIM;
  if (name && names_hidden_) return;
  const char* type = TypeOf(message);
  if (type == nullptr) return;  // a later libwim's
  static const wimlib_progress_info kNothing = {};
  const wimlib_progress_info& known = info == nullptr ? kNothing : *info;
  Object event = EventOf(message, known);
  event.emplace_back("type", type);
  if (const auto subject = SubjectOf(message, known)) {
    observer_.ReportCount(std::string(type) + ":" + *subject, std::move(event));
  } else {
    observer_.Report(std::move(event));
  }
  if (message == WIMLIB_PROGRESS_MSG_SPLIT_BEGIN_PART) AskForPartName(info);
}

void Progress::AskForPartName(wimlib_progress_info* info) {
  Object question = SplitEvent(*info);
  question.emplace_back("type", "part-name");
  const auto answer = observer_.Ask(std::move(question));
  const std::string* name = answer ? std::get_if<std::string>(&*answer) : nullptr;
  if (name == nullptr) return;
  part_name_ = ToLibrary(*name);
  info->split.part_name = part_name_.data();
}

}  // namespace stowage::wim
