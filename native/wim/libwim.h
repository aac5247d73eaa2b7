// libwim, loaded when it is first needed: what it does not do, works without it.
#ifndef STOWAGE_WIM_LIBWIM_H_
#define STOWAGE_WIM_LIBWIM_H_

#include <wimlib.h>

#include <cstdint>
#include <string>

namespace stowage::wim {

// The functions that are used, without "wimlib_".
#define STOWAGE_LIBWIM_FUNCTIONS(EACH)        \
  EACH(add_empty_image)                       \
  EACH(add_image_multisource)                 \
  EACH(compress)                              \
  EACH(create_compressor)                     \
  EACH(create_decompressor)                   \
  EACH(create_new_wim)                        \
  EACH(decompress)                            \
  EACH(delete_image)                          \
  EACH(delete_path)                           \
  EACH(export_image)                          \
  EACH(extract_image)                         \
  EACH(extract_image_from_pipe_with_progress) \
  EACH(extract_pathlist)                      \
  EACH(extract_paths)                         \
  EACH(free)                                  \
  EACH(free_compressor)                       \
  EACH(free_decompressor)                     \
  EACH(get_compressor_needed_memory)          \
  EACH(get_error_string)                      \
  EACH(get_image_name)                        \
  EACH(get_image_property)                    \
  EACH(get_version)                           \
  EACH(get_wim_info)                          \
  EACH(get_xml_data)                          \
  EACH(global_init)                           \
  EACH(image_name_in_use)                     \
  EACH(iterate_dir_tree)                      \
  EACH(iterate_lookup_table)                  \
  EACH(join_with_progress)                    \
  EACH(mount_image)                           \
  EACH(open_wim_with_progress)                \
  EACH(overwrite)                             \
  EACH(reference_resource_files)              \
  EACH(reference_resources)                   \
  EACH(reference_template_image)              \
  EACH(register_progress_function)            \
  EACH(rename_path)                           \
  EACH(resolve_image)                         \
  EACH(set_default_compression_level)         \
  EACH(set_error_file)                        \
  EACH(set_image_descripton)                  \
  EACH(set_image_flags)                       \
  EACH(set_image_name)                        \
  EACH(set_image_property)                    \
  EACH(set_output_chunk_size)                 \
  EACH(set_output_compression_type)           \
  EACH(set_output_pack_chunk_size)            \
  EACH(set_output_pack_compression_type)      \
  EACH(set_print_errors)                      \
  EACH(set_wim_info)                          \
  EACH(split)                                 \
  EACH(unmount_image_with_progress)           \
  EACH(update_image)                          \
  EACH(write)                                 \
  EACH(write_to_fd)

struct LibwimFunctions {
// NOLINTNEXTLINE(bugprone-macro-parentheses): it is the name of a member
#define STOWAGE_DECLARE(name) decltype(&::wimlib_##name) name = nullptr;
  STOWAGE_LIBWIM_FUNCTIONS(STOWAGE_DECLARE)
#undef STOWAGE_DECLARE
};

// "1.13.6", of what wimlib_get_version() gives.
std::string VersionText(uint32_t version);

// Loads libwim from where STOWAGE_LIBWIM says, from beside the addon, or from where the system has it. Throws
// LIBWIM_MISSING: there is none, it cannot be loaded, it is too old, or STOWAGE_LIBWIM is "none". Safe from any thread;
// tries again after it failed.
const LibwimFunctions& Libwim();
// Whether it does not throw LIBWIM_MISSING.
bool HasLibwim();

}  // namespace stowage::wim

#endif  // STOWAGE_WIM_LIBWIM_H_
