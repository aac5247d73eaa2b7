# bash completion for stowage: "stowage completion bash" prints this file.
# It only carries words: "stowage __complete WORD..." prints the proposals for the last word, one per line.
_stowage() {
  local -a words=()
  local line=${COMP_LINE:0:COMP_POINT} piece gap n last prefix= quote= proposals candidate

  # bash splits words at the characters of COMP_WORDBREAKS, such as colons: join what was typed without a space
  for ((n = 0; n <= COMP_CWORD; n++)); do
    gap=${line%%[![:space:]]*}
    line=${line#"$gap"}
    piece=${COMP_WORDS[n]}
    ((n == COMP_CWORD)) && piece=$line
    line=${line#"$piece"}
    if [[ -z $gap && n -gt 0 ]]; then
      words[${#words[@]} - 1]+=$piece
    else
      words+=("$piece")
    fi
  done
  last=$((${#words[@]} - 1))

  # Quotes and backslashes are for the shell
  for ((n = 0; n <= last; n++)); do
    piece=${words[n]} quote=
    case $piece in
      \'*) quote=\' piece=${piece#\'} piece=${piece%\'} ;;
      \"*) quote=\" piece=${piece#\"} piece=${piece%\"} ;;
      *) piece=${piece//\\/} ;;
    esac
    words[n]=$piece
  done

  # bash replaces only what follows the last of these characters
  if [[ -z $quote ]]; then
    piece=${words[last]}
    [[ $COMP_WORDBREAKS == *:* && $piece == *:* ]] && prefix=${piece%"${piece##*:}"}
    piece=${piece#"$prefix"}
    [[ $COMP_WORDBREAKS == *=* && $piece == *=* ]] && prefix+=${piece%"${piece##*=}"}
  fi

  COMPREPLY=()
  proposals=$("${words[0]/#\~\//$HOME/}" __complete "${words[@]:1}" 2>/dev/null) || return 0
  while IFS=$'\t' read -r candidate _; do
    [[ -n $candidate ]] || continue
    [[ $candidate == *[/:=] ]] && compopt -o nospace 2>/dev/null
    candidate=${candidate#"$prefix"}
    if [[ -z $quote && $candidate == '~/'* ]]; then
      printf -v piece %q "${candidate:2}"
      candidate="~/$piece"
    elif [[ -z $quote ]]; then
      printf -v candidate %q "$candidate"
    fi
    COMPREPLY+=("$candidate")
  done <<<"$proposals"
}
complete -F _stowage stowage
