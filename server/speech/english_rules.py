"""Letters to sounds for English, by a table: what is written, between what, and how it is said.

At each place the first rule of the letter that fits is taken. The letters stand in angles, their
contexts are regular expressions with classes in capitals: ``V`` a vowel letter, ``C`` a consonant
letter, ``F`` the vowels that soften c and g. ``^`` and ``$`` are the word's ends. Sounds are those
of ``mouth``; ``-`` is none.

The rules aim at the mouth, not at the ear: vowels that look alike need not be told apart, and
stress is not known.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_CLASSES = {
    "V": "[aeiouy]",
    "C": "[bcdfghjklmnpqrstvwxz]",
    "F": "[eiy]",
}

_TABLE = """
<a>$ = AX | ^<are>$ = AA R | ^<age> = EH IY JH | ^<a>CC?V = AX | <able>$ = AX B AX L
<ally>$ = AX L IY | <augh>t = AO | <augh> = AE F | <au> = AO | <aw> = AO | <air> = EH R
VC+t<ai>n(?:$|s|l) = AX | <ai> = EH IY | <ay> = EH IY | VC+<age>s?$ = IH JH | <ate>ly$ = AX T
<arr> = EH R | w<ar> = AO R | qu<ar> = AO R | <are>s?$ = EH R | <ar>ing$ = EH R | <ar>V = EH R
CVC*<ar>d?$ = ER | <ar> = AA R | <all> = AO L | <al>k = AO | <al>m = AA | <al>t = AO L
CVC*<al>s?$ = AX L | w<a>(?:s|t|n) = AA | wh<a>t = AA | <a>(?:st|ng)e = EH IY
<a>(?:tion|cial|cious|ture|dio|test|mous) = EH IY | <a>ken = EH IY
<a>Ce(?:ty|ly|ment|book|less|s$) = EH IY | VC+<a>n(?:ce|t|d)?s?$ = AX
<a>Ce(?!r?ry|ral)(?:$|s$|d$|r$|rs$|ly$|ment$|ful$) = EH IY | <a>C(?:ing|y)$ = EH IY
<a>(?:bl|pl|cr)e = EH IY | V<a>$ = AX | <a> = AE

<bb> = B | m<b>(?:$|s$|ed|ing) = - | <b> = B

<cch> = K | <cc>(?=F) = K S | <cc> = K | <ch>(?:r|l|a?os|em|arac) = K | s<ch>oo = K | <ch> = CH
<ck> = K | <ci>(?:a|ou|en) = SH | <cqu> = K W | s<c>F = - | <c>F = S | <c> = K

<dd> = D | <dge> = JH | <dg>F = JH | <d>u(?:al|at|c) = D | <d> = D

^<e>ver = EH | <ea>d(?:y|$|s$|e) = EH | <ea>(?:th|lth|sure|vy|ven|nt) = EH
<ear>(?:n|l|th|ch) = ER | <ear> = IY R | cr<ea>t = IY EH IY | <ea>u = Y UW | <eau> = AO UW
<ea>(?:t|ct)ion = IY EH IY | <ea> = IY | <eer> = IY R | <ee> = IY | <eigh> = EH IY | <eir> = EH R
c<ei> = IY | <ei>n = EH IY | <ei> = IY | <er>i(?:a|e|o) = IY R | VC+<er>F = ER | <ere>$ = IY R
<err> = EH R | <er>F = EH R | <er> = ER | f<ew> = Y UW | <ewe>r? = UW | <ew> = UW | <eu> = Y UW
<ege>$ = IH JH | <ese>$ = IY Z | <ey>$ = IY | <ey>s$ = IY Z | <ey> = EH IY | <eo>p = IY
t<ed>$ = AX D | d<ed>$ = AX D | (?:p|k|f|s|x|ch|sh|c)<ed>$ = T | V.*<ed>$ = D | C(?:l|r)<e>$ = -
^C*<e>$ = IY | (?:s|x|z|sh|ch|c|g)<es>$ = AX Z | V.*(?:p|t|k|f)<es>$ = S | V.*<es>$ = Z
V.*<e>$ = - | V.*<e>(?:ly|ment|ful|less|ness)(?:s|ly)?$ = - | ^<ex>V = IH G Z | ^<exc>F = IH K S
^<ex> = IH K S | ^(?:b|d|r|pr)<e>(?:CV|[clsp][lrptc]V) = IH | ^<e>CV = IH
VC+<e>(?:n(?:ce|cy|t|ts)?|l|m)s?$ = AX | ^C*<e>Ce$ = IY | <e> = EH

<ff> = F | o<f>$ = V | <f> = F

<gg> = G | <gn>$ = N | ^<gn> = N | <gh>t = - | V<gh> = - | <gh> = G
^<g>(?:i(?:v|r|f|g|ll)|e(?:t|ar)) = G | <gu>F = G | n<g>er$ = G | <g>F = JH | <g> = G

^<h>(?:our|on|eir) = - | V<h>(?:C|$) = - | <h> = HH

^<i>$ = AA IY | ^<i>CC = IH | ^C*<i>(?:nal|val|tal|lent|der|cide|ble|dent|lot) = AA IY
VC+<i>ble = AX | <igh> = AA IY | <ign>$ = AA IY N | <ire> = AA IY ER | <ir> = ER | <ies>$ = IY Z
<ied>$ = IY D | ^C<ie>s$ = AA IY | ^C<ie>d?$ = AA IY | <ier>$ = IY ER | <ie>t = AA IY AX
<iew> = Y UW | <ie> = IY | <ia>l = IY AX | (?:t|c|s)<ia> = AX | <ious> = IY AX S | <io>n = IY AX
<ique> = IY K | (?:at|it|ut|v|t|s)<ive>$ = IH V | ^C*<ine>s?$ = AA IY N | l<ine>s?$ = AA IY N
<ine>d?$ = IH N | <i>(?:nd|ld)$ = AA IY | <i>(?:nd|ld)(?:s|ing|er)$ = AA IY | VC+<ice>$ = IH S
VC+<ices>$ = IH S AX Z | <ice>$ = AA IY S | VC+<ity>$ = AX T IY | <ite>$ = AA IY T
<i>Ce(?:$|s$|d$|r$|rs$|ly$|ment$|st$) = AA IY | <i>Cing$ = AA IY | ^C*<i>a = AA IY | <i>a = IY
<i>(?:bl|tl|dl|fl)e = AA IY | <i>$ = IY | <i> = IH

<j> = JH

^<kn> = N | <kk> = K | <k> = K

<ll> = L | C<le>$ = AX L | C<les>$ = AX L Z | C<led>$ = AX L D | ou<l>d = - | a<l>(?:f|v) = -
a<l>m = - | <l> = L

<mm> = M | <mn>$ = M | <m> = M

<nn> = N | <ng>(?:$|s$|ed$|ing|er$|ers$|th|ly) = NG | <n>g(?!F) = NG | <n>(?:k|x|c[^eihy]) = NG
<n> = N

^<o>ne = W AH | <oa>r = AO | <oa> = AO UW | <oe>$ = AO UW | <oes>$ = AO UW Z | <oi> = AO IY
<oy> = AO IY | <oo>(?:k|d$|t$) = UH | <oor> = AO R | <oo> = UW | <ough>t = AO | th<ough> = AO UW
<ough> = AH F | <ould> = UH D | <our>$ = AO R | <our>(?:C) = AO R | VC+<ous> = AX S
<ou>(?:n|s|t|d|th|ch|r)(?:$|C|e|s|i|a) = AA UW | <oup> = UW P | <oung> = AH NG | <ou>bl = AH
<ou>ntr = AH | <ou>sl = AX S | <ou> = AA UW | (?:d|t|br|cr|g|cl|fr)<ow>n = AA UW
<ow>(?:d|er|el|s?e) = AA UW | ^(?:n|h|c|w|b|all)<ow>$ = AA UW | <ow> = AO UW
w<or>(?:k|d|l|s|th) = ER | VC+<or>s?$ = ER | <orr> = AO R | <ore> = AO R | <or> = AO R
<o>(?:ld|lt|lk|ll$) = AO UW | <o>(?:ss$|ff|ng|st|ft|gs?$) = AO
<o>(?:ther|ney|ve$|n[tk]|me$|mes|ver) = AH | ^C?<o>m(?:p|m|b) = AA | ^c<o>(?:n|m) = AX
<o>x = AA | <o>Ce(?:$|s$|d$|r$|rs$|ly$|ment$|st$) = AO UW | <o>C(?:ing|y)$ = AO UW
<o>(?:ti|ci) = AO UW
^C*<o>C(?:al|en|us|o|ent|ment)(?:$|s|l|ed|ing) = AO UW | <o>l$ = AO UW | <o>$ = AO UW
<o>s?$ = AO UW | i<o>n = AX | VC+<o>n(?:s|ed|ing)?$ = AX | VC+<o>m$ = AX | <o> = AA

<ph> = F | <pp> = P | ^<ps> = S | <p> = P

<que>$ = K | <qu> = K W | <q> = K

<rrh> = R | <rr> = R | ^<rh> = R | <re>$ = R | <r> = R

<sch>oo = S K | <sch> = SH | <sh> = SH | <ssion> = SH AX N | V<sion> = ZH AX N | <sion> = SH AX N
<ssure> = SH ER | V<sure> = ZH ER | <sure> = SH UH R | <ss> = S | i<s>land = - | V<s>Ve? = Z
(?:[pktf]|th|gh|ph)<s>$ = S | (?:[bdglmnrvw]|V[^s])<s>$ = Z | [aieo]<s>$ = Z | <s>m$ = Z AX
<s> = S

s<tion> = CH AX N | <tion> = SH AX N | <tial> = SH AX L | <tient> = SH AX N T | <tious> = SH AX S
<tch> = CH | <ture>s?$ = CH ER | <t>ur(?:a|e) = CH | <tually>$ = CH AX L IY | <tual> = CH UW AX L
<tu>a = CH UW | s<t>(?:le|en)s?$ = -
^<th>(?:e|is|at|an|en|ey|em|ere|ese|ose|us|ough)(?:$|s$) = DH | V<th>(?:er|e$|ing$) = DH
<th> = TH | <tt> = T | <two> = T UW | <t> = T

g<u>F = - | q<u> = W | ^<uni>[^nm] = Y UW N IH | ^<un> = AH N | ^<up> = AH P | ^<u>CV = Y UW
<ury>$ = ER IY | <ure>$ = Y ER | <ur>ity = Y UH R | <ur> = ER | <uy> = AA IY | <ui>t = UW
<ui> = IH | <ue>$ = UW | <ue>s?$ = UW | p<u>(?:t|sh|ll) = UH | <u>(?:ll|sh)$ = UH | <ul>$ = AX L
<ully>$ = AX L IY | <um>$ = AX M | CVC*<us>$ = AX S | (?:r|l|j|d|t|s|n)<u>CV = UW | <u>CV = Y UW
<u>V = UW | <u>$ = UW | <u> = AH

<v> = V

^<wr> = R | <who> = HH UW | <wh> = W | <w>C = - | <w> = W

^<x> = Z | <x> = K S

^<y>V = Y | ^C*<y>$ = AA IY | <yes>$ = Y EH S | <yer>$ = AA IY ER | ^CC?<ying>$ = AA IY IH NG
<ying>$ = IY IH NG | <y>Ce = AA IY | CVC*f<y>$ = AA IY | V<y>V = Y | <y>$ = IY | <ys>$ = IY Z
<y>s?$ = IY | <y> = IH

<zz> = Z | <z> = Z
"""


class _Rule(NamedTuple):
    left: re.Pattern[str] | None
    letters: str
    right: re.Pattern[str] | None
    phones: tuple[str, ...]


def _compile(context: str) -> re.Pattern[str] | None:
    return re.compile("".join(_CLASSES.get(char, char) for char in context)) if context else None


def _parse(table: str) -> dict[str, list[_Rule]]:
    """Read the table; rules by their first letter, in order."""
    rules: dict[str, list[_Rule]] = {}
    for line in re.split(r" \| |\n+", table.strip()):
        written, _, phones = line.partition(" = ")
        left, letters, right = re.split("[<>]", written)
        end = f"(?:{left})$" if left else ""
        rule = _Rule(_compile(end), letters, _compile(right), tuple(phones.strip("-").split()))
        rules.setdefault(letters[0], []).append(rule)
    return rules


_RULES = _parse(_TABLE)


def spelled_phones(word: str) -> list[str]:
    """Say a word by the rules.

    Args:
        word: Lower-case letters a to z; anything else is passed over.

    Returns:
        Phones of ``mouth``; ``-`` is none.
    """
    phones: list[str] = []
    place = 0
    while place < len(word):
        for left, letters, right, said in _RULES.get(word[place], ()):
            end = place + len(letters)
            if (
                word.startswith(letters, place)
                and (left is None or left.search(word[:place]))
                and (right is None or right.match(word[end:]))
            ):
                phones += said
                place = end
                break
        else:
            place += 1
    return phones
