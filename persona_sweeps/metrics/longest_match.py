"""Find the longest run of words that a text shares with any of many others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class LongestMatch:
    """The suffix automaton of all lines, which finds the longest shared run in time linear in a text.

    Blumer et al. (1985), "The Smallest Automaton Recognizing the Subwords of a Text". A run never crosses the end of a
    line, since each line ends with a separator that no text has.
    """

    def __init__(self, lines: Iterable[Sequence[str]]) -> None:
        self._next: list[dict[object, int]] = [{}]
        self._link = [-1]
        self._length = [0]
        self._last = 0
        for number, line in enumerate(lines):
            for word in line:
                self._extend(word)
            self._extend(number)

    def __call__(self, words: Sequence[str]) -> int:
        """Return the number of words of the longest run that some line has too."""
        state = length = best = 0
        for word in words:
            while state and word not in self._next[state]:
                state = self._link[state]
                length = self._length[state]
            if word in self._next[state]:
                state, length = self._next[state][word], length + 1
            best = max(best, length)
        return best

    def _extend(self, symbol: object) -> None:
        """Add one symbol at the end of what the automaton recognizes."""
        new = self._add({}, self._length[self._last] + 1)
        state = self._last
        while state != -1 and symbol not in self._next[state]:
            self._next[state][symbol] = new
            state = self._link[state]
        self._last = new
        if state == -1:
            self._link[new] = 0
            return
        target = self._next[state][symbol]
        if self._length[target] == self._length[state] + 1:
            self._link[new] = target
            return
        clone = self._add(dict(self._next[target]), self._length[state] + 1)
        self._link[clone] = self._link[target]
        while state != -1 and self._next[state].get(symbol) == target:
            self._next[state][symbol] = clone
            state = self._link[state]
        self._link[target] = self._link[new] = clone

    def _add(self, transitions: dict[object, int], length: int) -> int:
        self._next.append(transitions)
        self._link.append(-1)
        self._length.append(length)
        return len(self._next) - 1
