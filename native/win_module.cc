// The addon as a DLL that mingw-w64 links; node-gyp's own compiler has the same from node-gyp.
#ifdef __MINGW32__
// clang-format off
#include <windows.h>  // first: the other one needs it
#include <delayimp.h>
// clang-format on

namespace stowage {

namespace {

// The functions of Node-API are those of the program that runs, whatever it is called.
FARPROC WINAPI FindHost(unsigned event, PDelayLoadInfo info) {
  if (event != dliNotePreLoadLibrary || lstrcmpiA(info->szDll, "node.exe") != 0) return nullptr;
  return reinterpret_cast<FARPROC>(GetModuleHandleW(nullptr));
}

}  // namespace

}  // namespace stowage

extern "C" {
PfnDliHook __pfnDliNotifyHook2 = stowage::FindHost;
PfnDliHook __pfnDliFailureHook2 = nullptr;

// Threads may still run in it when the last environment of Node.js that loaded it ends, so it stays.
BOOL WINAPI DllMain(HINSTANCE, DWORD reason, LPVOID) {
  HMODULE self = nullptr;
  if (reason == DLL_PROCESS_ATTACH)
    GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN,
                       reinterpret_cast<const wchar_t*>(&stowage::FindHost), &self);
  return TRUE;
}
}
#endif
