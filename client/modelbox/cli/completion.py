"""`modelbox completion`: a shell's completion, made of the parser."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from modelbox.cli import output

if TYPE_CHECKING:
    from modelbox.cli.arguments import Commands


class Words(NamedTuple):
    """What may come after a beginning of a command line."""

    before: tuple[str, ...]
    words: dict[str, str]
    """Commands and options, each with its sentence."""


def add(commands: Commands) -> None:
    """Add the command."""
    sentence = "Print the completion of a shell: source <(modelbox completion bash)"
    parser = commands.add_parser("completion", help="Print the completion of a shell.", description=sentence)
    parser.add_argument("shell", choices=tuple(SHELLS))
    parser.set_defaults(command=completion, words="completion")


def completion(wanted: argparse.Namespace) -> None:
    """Print it."""
    from modelbox.cli.main import parser

    output.line(SHELLS[wanted.shell](list(words_of(parser()))))


def words_of(parser: argparse.ArgumentParser, before: tuple[str, ...] = ()) -> Iterator[Words]:
    """Every command with what may follow it."""
    words: dict[str, str] = {}
    children: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:  # argparse tells of its parts in no other way
        if isinstance(action, argparse._SubParsersAction):
            children = dict(action.choices)
            words |= {each.dest: each.help or "" for each in action._choices_actions}
        elif action.option_strings:
            words[action.option_strings[-1]] = action.help or ""
        elif action.choices:
            words |= dict.fromkeys(map(str, action.choices), "")
    yield Words(before, words)
    for name, child in children.items():
        yield from words_of(child, (*before, name))


def bash(commands: list[Words]) -> str:
    """A function of bash."""
    cases = "\n".join(f'    "{" ".join(each.before)}") words="{" ".join(each.words)}" ;;' for each in commands)
    return BASH.replace("@CASES@", cases)


def zsh(commands: list[Words]) -> str:
    """A function of zsh, with the sentences."""
    lines = []
    for each in commands:
        choices = " ".join(_quoted(f"{word}:{sentence}") for word, sentence in each.words.items())
        lines.append(f"    {_quoted(' '.join(each.before))}) choices=({choices}) ;;")
    cases = "\n".join(lines)
    return ZSH.replace("@CASES@", cases)


def fish(commands: list[Words]) -> str:
    """Lines of fish, with the sentences."""
    lines = ["complete -c modelbox -f"]
    for each in commands:
        condition = f"__modelbox_at {' '.join(each.before)}".rstrip()
        for word, sentence in each.words.items():
            what = f"-l {word.removeprefix('--')}" if word.startswith("--") else f"-a {word}"
            lines.append(f"complete -c modelbox -n {_quoted(condition)} {what} -d {_quoted(sentence)}")
    return FISH + "\n".join(lines)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "'\\''") + "'"


SHELLS: dict[str, Callable[[list[Words]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}

BASH = """\
_modelbox() {
  local words= path= word
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) ;; *) path="${path:+$path }$word" ;; esac
  done
  while :; do
    case "$path" in
@CASES@
    esac
    [ -n "$words" ] || [ -z "$path" ] && break
    case "$path" in *" "*) path="${path% *}" ;; *) path= ;; esac
  done
  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _modelbox modelbox"""

ZSH = """\
#compdef modelbox
_modelbox() {
  local given= word
  local -a choices
  for word in ${words[2,CURRENT-1]}; do [[ $word == -* ]] || given="${given:+$given }$word"; done
  while true; do
    case "$given" in
@CASES@
    esac
    (( ${#choices} )) || [[ -z "$given" ]] && break
    [[ "$given" == *" "* ]] && given="${given% *}" || given=
  done
  _describe 'modelbox' choices
}
compdef _modelbox modelbox"""

FISH = """\
function __modelbox_at
  set -l given (commandline -opc)[2..]
  set -l plain (string match -v -- '-*' $given)
  set -l here (count $argv)
  test (count $plain) -ge $here; or return 1
  if test $here -gt 0
    test "$plain[1..$here]" = "$argv"; or return 1
  end
  test $here -ge 2; or test (count $plain) -eq $here
end
"""
