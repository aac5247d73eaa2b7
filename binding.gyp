{
  "targets": [
    {
      "target_name": "stowage",
      "sources": [
        "native/addon.cc",
        "native/attributes.cc",
        "native/blob_stream.cc",
        "native/capture_job.cc",
        "native/codec.cc",
        "native/convert.cc",
        "native/dentry_reader.cc",
        "native/layer_job.cc",
        "native/layer_reader.cc",
        "native/mount.cc",
        "native/pipe.cc",
        "native/reporting_thread.cc",
        "native/thread_job.cc",
        "native/wim_file.cc",
        "native/wim_job.cc",
        "native/wim/archive.cc",
        "native/wim/batch_queue.cc",
        "native/wim/blob_reader.cc",
        "native/wim/blob_table.cc",
        "native/wim/byte_queue.cc",
        "native/wim/containment.cc",
        "native/wim/entries.cc",
        "native/wim/entry_json.cc",
        "native/wim/error.cc",
        "native/wim/file.cc",
        "native/wim/gzip.cc",
        "native/wim/header.cc",
        "native/wim/integrity.cc",
        "native/wim/layer_capture.cc",
        "native/wim/layer_input.cc",
        "native/wim/layer_scan.cc",
        "native/wim/layer_stream.cc",
        "native/wim/library.cc",
        "native/wim/listing.cc",
        "native/wim/metadata.cc",
        "native/wim/mount.cc",
        "native/wim/observer.cc",
        "native/wim/operations.cc",
        "native/wim/pipe.cc",
        "native/wim/pipe_guard.cc",
        "native/wim/resource.cc",
        "native/wim/tar_reader.cc",
        "native/wim/text.cc",
        "native/wim/value.cc",
        "native/wim/verifier.cc",
        "native/wim/wim_struct.cc",
        "native/wim/wim_writer.cc",
        "native/wim/worker_pool.cc",
        "native/wim/zstd.cc"
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS", "_FILE_OFFSET_BITS=64"],
      "cflags!": ["-fno-exceptions"],
      "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17"],
      "cflags_cc": ["-std=c++17", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Wno-sign-conversion", "-Werror", "-fvisibility=hidden"],
      "conditions": [
        ["OS!='win'", {
          "sources": [
            "native/blob_send_job.cc",
            "native/blob_write_job.cc",
            "native/transfer/blob_sender.cc",
            "native/transfer/blob_writer.cc",
            "native/transfer/http_answer.cc",
            "native/transfer/sha256_lane.cc",
            "native/transfer/socket.cc",
            "native/transfer/tls.cc"
          ]
        }],
        ["OS=='linux'", {
          "include_dirs": ["<!(pkg-config --variable=includedir wimlib)"],
          "libraries": [
            "-L<!(pkg-config --variable=libdir wimlib)",
            "-lwim",
            "-l:libdeflate.a",
            "-l:libzstd.a",
            "-l:libz.a",
            "-l:libssl.a",
            "-l:libcrypto.a"
          ],
          "ldflags": ["-Wl,--exclude-libs,ALL", "-Wl,--gc-sections", "-Wl,-z,nodelete"]
        }],
        ["OS=='mac'", {
          "include_dirs": ["<!(pkg-config --variable=includedir wimlib)"],
          "libraries": ["-L<!(pkg-config --variable=libdir wimlib)", "-lwim", "<!@(pkg-config --libs libdeflate libzstd zlib libssl libcrypto)"],
          "xcode_settings": {
            "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
            "CLANG_CXX_LANGUAGE_STANDARD": "c++17",
            "MACOSX_DEPLOYMENT_TARGET": "11.0",
            "OTHER_CPLUSPLUSFLAGS": ["<!@(pkg-config --cflags libdeflate libzstd zlib libcrypto)"]
          }
        }],
        ["OS=='win'", {
          "variables": { "wimlib_dir%": "<!(node -p \"process.env.WIMLIB_DIR || ''\")" },
          "include_dirs": ["<(wimlib_dir)/include"],
          "libraries": ["<(wimlib_dir)/lib/libwim.lib", "<(wimlib_dir)/lib/deflate.lib", "<(wimlib_dir)/lib/zstd.lib", "<(wimlib_dir)/lib/zlib.lib", "<(wimlib_dir)/lib/libcrypto.lib"],
          "defines": ["NOMINMAX", "WIN32_LEAN_AND_MEAN"],
          "msvs_settings": {
            "VCCLCompilerTool": { "ExceptionHandling": 1, "AdditionalOptions": ["/std:c++17", "/W3", "/WX"] }
          }
        }]
      ]
    }
  ]
}
