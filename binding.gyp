{
  "targets": [
    {
      "target_name": "stowage",
      "sources": ["<!@(node native/sources.mjs <(OS))"],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS", "_FILE_OFFSET_BITS=64"],
      "cflags!": ["-fno-exceptions"],
      "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17"],
      "cflags_cc": ["-std=c++17", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Wno-sign-conversion", "-fvisibility=hidden"],
      "conditions": [
        ["OS=='linux'", {
          "include_dirs": ["<!(pkg-config --variable=includedir wimlib)"],
          "libraries": [
            "-ldl",
            "-l:libdeflate.a",
            "-l:liblzma.a",
            "-l:libssl.a",
            "-l:libcrypto.a",
            "-l:libzstd.a",
            "-l:libz.a"
          ],
          "ldflags": ["-Wl,--exclude-libs,ALL", "-Wl,--gc-sections", "-Wl,-z,nodelete"]
        }],
        ["OS=='mac'", {
          "include_dirs": ["<!(pkg-config --variable=includedir wimlib)"],
          "libraries": ["<!@(pkg-config --libs libdeflate libzstd liblzma libssl libcrypto)"],
          "xcode_settings": {
            "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
            "CLANG_CXX_LANGUAGE_STANDARD": "c++17",
            "MACOSX_DEPLOYMENT_TARGET": "11.0",
            "OTHER_CPLUSPLUSFLAGS": ["<!@(pkg-config --cflags libdeflate libzstd liblzma libcrypto)"]
          }
        }],
        ["OS=='win'", {
          "variables": { "wimlib_dir%": "<!(node -p \"process.env.WIMLIB_DIR || ''\")" },
          "include_dirs": ["<(wimlib_dir)/include"],
          "libraries": ["<(wimlib_dir)/lib/deflate.lib", "<(wimlib_dir)/lib/zstd.lib", "<(wimlib_dir)/lib/lzma.lib", "bcrypt.lib"],
          "defines": ["NOMINMAX", "WIN32_LEAN_AND_MEAN", "_WIN32_WINNT=0x0A00"],
          "msvs_settings": {
            "VCCLCompilerTool": { "ExceptionHandling": 1, "AdditionalOptions": ["/std:c++17", "/W3", "/WX"] }
          }
        }]
      ]
    }
  ]
}
