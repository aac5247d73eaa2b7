// Runs a command in the console of this program, and presses Ctrl-C after some milliseconds: ctrl-c.exe MS "COMMAND".
// Its exit code is that of the command.
#include <stdlib.h>
#include <windows.h>

int wmain(int count, wchar_t** words) {
  if (count != 3) return 90;
  STARTUPINFOW start = {.cb = sizeof start, .dwFlags = STARTF_USESTDHANDLES};
  start.hStdInput = GetStdHandle(STD_INPUT_HANDLE);
  start.hStdOutput = GetStdHandle(STD_OUTPUT_HANDLE);
  start.hStdError = GetStdHandle(STD_ERROR_HANDLE);
  PROCESS_INFORMATION child;
  if (!CreateProcessW(NULL, words[2], NULL, NULL, TRUE, 0, NULL, NULL, &start, &child)) return 91;
  SetConsoleCtrlHandler(NULL, TRUE);  // not for this program
  if (WaitForSingleObject(child.hProcess, (DWORD)_wtoi(words[1])) != WAIT_TIMEOUT) return 92;
  if (!GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0)) return 93;
  if (WaitForSingleObject(child.hProcess, 30000) != WAIT_OBJECT_0) return 94;
  DWORD code = 95;
  GetExitCodeProcess(child.hProcess, &code);
  return (int)code;
}
