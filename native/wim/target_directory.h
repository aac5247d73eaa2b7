// The directory that files are extracted to, and those below it. Nothing outside is ever written: no symbolic link
// below it is followed. POSIX only.
#ifndef STOWAGE_WIM_TARGET_DIRECTORY_H_
#define STOWAGE_WIM_TARGET_DIRECTORY_H_

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "extraction_plan.h"
#include "file_facts.h"

namespace stowage::wim {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

class TargetDirectory {
 public:
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
    const std::shared_ptr<const Descriptor> directory_;
    const std::string name_;
    std::unique_ptr<Descriptor> file_;
    uint64_t size_ = 0;
    bool finished_ = false;
  };

  enum class Links { kFollow, kRefuse };

  // Makes a directory, unless it is there.
  static void Create(const std::string& path);
  static bool IsLink(const std::string& path);
  // What absolute links are fixed to, without '/' at its end.
  static std::string RealPath(const std::string& path);

  // Makes the directory `path` if it is not there; its parent must be. `links`: whether it may be a symbolic link to a
  // directory. Throws WIMLIB_ERR_MKDIR, as whatever fails below throws libwim's code for it, with the errno as cause.
  // `plan` outlives this.
  TargetDirectory(const std::string& path, Links links, const ExtractionPlan& plan);

  void MakeDirectory(uint32_t node);
  void MakeLink(uint32_t node, const std::string& target, const FileFacts& facts);
  // A device, FIFO or socket. False if there is no right to make one.
  bool MakeSpecial(uint32_t node, const FileFacts& facts);
  // `node` becomes another name of the file of `existing`.
  void MakeHardLink(uint32_t existing, uint32_t node);
  // Of a directory, or the target.
  void SetFacts(uint32_t node, const FileFacts& facts);

  // "target/dir/file".
  std::string PathOf(uint32_t node) const { return path_ + plan_.PathOf(node); }

 private:
  using Shared = std::shared_ptr<const Descriptor>;

  // Of a directory that was made, or the target.
  Shared Open(uint32_t node);
  void Keep(uint32_t node, const Shared& directory);
  // Calls `make`, which gives -1 and EEXIST if something is in its way, again once that is removed.
  template <typename Make>
  int Replacing(int directory, const std::string& name, Make make) const;
  [[noreturn]] void Fail(const char* code, const std::string& doing, uint32_t node, int number) const;
  void SetTimes(int directory, const char* name, uint32_t node, const FileFacts& facts) const;
  void SetOwner(int fd, uint32_t node, const FileFacts::Owner& owner, bool strict) const;

  const std::string path_;
  const ExtractionPlan& plan_;
  Shared target_;
  // The directories used last, the newest first.
  std::list<std::pair<uint32_t, Shared>> recent_;
  std::unordered_map<uint32_t, std::list<std::pair<uint32_t, Shared>>::iterator> places_;
};

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_TARGET_DIRECTORY_H_
