// The directory that files are extracted to on Windows, and those below it. Nothing outside is ever written: no reparse
// point below it is followed. Names may be as long as NTFS allows.
#ifndef STOWAGE_WIM_WINDOWS_TARGET_DIRECTORY_H_
#define STOWAGE_WIM_WINDOWS_TARGET_DIRECTORY_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "extraction_plan.h"
#include "file_facts.h"

namespace stowage::wim {

class TargetDirectory {
 public:
  // Closes what CreateFileW() opened.
  struct CloseFile {
    void operator()(void* handle) const;
  };
  using Handle = std::unique_ptr<void, CloseFile>;

  // A file that is removed again unless it is finished.
  class NewFile {
   public:
    NewFile(TargetDirectory& target, uint32_t node);
    ~NewFile();
    NewFile(const NewFile&) = delete;
    NewFile& operator=(const NewFile&) = delete;

    void Write(const uint8_t* data, size_t size);
    // All that `from` has. Calls `watch`, which may throw, after each MiB.
    void Copy(const NewFile& from, const std::function<void()>& watch);
    void Finish(const FileFacts& facts);

   private:
    TargetDirectory& target_;
    const uint32_t node_;
    const std::shared_ptr<void> directory_;
    Handle file_;
    uint64_t size_ = 0;
    bool finished_ = false;
  };

  enum class Links { kFollow, kRefuse };

  // Makes a directory, unless it is there.
  static void Create(const std::string& path);
  static bool IsLink(const std::string& path);
  // What absolute links are fixed to, without a separator at its end.
  static std::string RealPath(const std::string& path);

  // Makes the directory `path` if it is not there; its parent must be. `links`: whether it may be a link to a
  // directory. Throws WIMLIB_ERR_MKDIR, as whatever fails below throws libwim's code for it, with the errno as cause.
  // `plan` outlives this.
  TargetDirectory(const std::string& path, Links links, const ExtractionPlan& plan);

  void MakeDirectory(uint32_t node);
  void MakeLink(uint32_t node, const std::string& target, const FileFacts& facts);
  // Windows has no devices, FIFOs or sockets among its files: always false.
  bool MakeSpecial(uint32_t node, const FileFacts& facts);
  // `node` becomes another name of the file of `existing`.
  void MakeHardLink(uint32_t existing, uint32_t node);
  // Of a directory, or the target.
  void SetFacts(uint32_t node, const FileFacts& facts);

  // "target/dir/file".
  std::string PathOf(uint32_t node) const { return path_ + plan_.PathOf(node); }

 private:
  // Of a directory that was made, or the target. While it is open, neither it nor what is above it can be moved away.
  std::shared_ptr<void> Open(uint32_t node);
  std::wstring NameOf(uint32_t node) const;
  // Removes what has the name of `node`, if that is a file or a link.
  void Clear(uint32_t node, const std::wstring& name) const;
  [[noreturn]] void Fail(const char* code, const std::string& doing, uint32_t node, int number) const;
  void SetFactsOf(void* handle, uint32_t node, const FileFacts& facts) const;

  const std::string path_;
  const std::wstring root_;
  const ExtractionPlan& plan_;
  std::shared_ptr<void> target_;
  // Directories that are kept open.
  std::unordered_map<uint32_t, std::shared_ptr<void>> open_;
};

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_WINDOWS_TARGET_DIRECTORY_H_
