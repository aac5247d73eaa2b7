# fish completion for stowage: "stowage completion fish" prints this file.
# It only carries words: "stowage __complete WORD..." prints the proposals for the last word, one per line.
function __stowage_complete
    set -l words (commandline -opc)
    set -l last (commandline -ct)
    $words[1] __complete $words[2..-1] "$last" 2>/dev/null
end
complete -c stowage -f -a '(__stowage_complete)'
