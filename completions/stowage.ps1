# PowerShell completion for stowage: "stowage completion powershell" prints this file.
# It only carries words: "stowage __complete WORD..." prints the proposals for the last word, one per line.
Register-ArgumentCompleter -Native -CommandName stowage -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $elements = @($commandAst.CommandElements | Where-Object { $_.Extent.StartOffset -lt $cursorPosition })
    $words = @($elements | Select-Object -Skip 1 | ForEach-Object { $_.Extent.Text.Trim('"', "'") })
    if ($wordToComplete) { $words = @($words | Select-Object -SkipLast 1) }
    # Some versions do not pass an empty word to a program; stowage takes two quotes for one
    $last = if ($wordToComplete) { $wordToComplete.Trim('"', "'") } else { '""' }
    & $elements[0].Extent.Text __complete @words $last 2>$null | ForEach-Object {
        $word, $text = $_ -split "`t", 2
        if (-not $text) { $text = $word }
        [System.Management.Automation.CompletionResult]::new($word, $word, 'ParameterValue', $text)
    }
}
