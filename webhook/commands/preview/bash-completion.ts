/**
 * For bash, instead of the library's: that one fails at each press of the key where the package bash-completion is missing, has the words of the line
 * evaluated by the shell once more, and cannot be sourced twice. Works with the bash 3.2 of macOS.
 */
export const BASH_COMPLETION = `# bash completion for preview
__preview_complete() {
    local offer
    COMPREPLY=()
    # A line is an offer and, after a tab, what it is; the last one is a colon and a number.
    while IFS=$'\\t' read -r offer _; do
        [[ $offer == :* || $offer != "$2"* ]] || COMPREPLY+=("$offer")
    done < <(preview complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}

complete -F __preview_complete preview
`;
