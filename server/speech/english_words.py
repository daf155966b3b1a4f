"""English words that are frequent and not said as they are spelled; rules do the rest.

Sounds are those of ``mouth``. Forms with an ending (``says`` is its own, ``words`` is not) and
words made of two (``someone``) are found through their parts.
"""

from __future__ import annotations

_TABLE = """
a AX | the DH AX | i AA IY | to T UW | of AH V | you Y UW | your Y AO R | he HH IY | she SH IY
we W IY | me M IY | be B IY | was W AA Z | were W ER | are AA R | is IH Z | his HH IH Z | as AE Z
has HH AE Z | have HH AE V | having HH AE V IH NG | do D UW | does D AH Z | done D AH N
one W AH N | once W AH N S | two T UW | four F AO R | eight EH IY T | been B IH N
being B IY IH NG | said S EH D | says S EH Z | any EH N IY | many M EH N IY | who HH UW
whose HH UW Z | whom HH UW M | whole HH AO UW L | there DH EH R | their DH EH R | where W EH R
here HH IH R | very V EH R IY | some S AH M | come K AH M | love L AH V | above AX B AH V
move M UW V | prove P R UW V | lose L UW Z | gone G AO N | give G IH V | live L IH V
into IH N T UW | only AO UW N L IY | also AO L S AO UW | both B AO UW TH | most M AO UW S T
ghost G AO UW S T | post P AO UW S T | old AO UW L D | could K UH D | would W UH D
should SH UH D | through TH R UW | though DH AO UW | although AO L DH AO UW | thorough TH ER AO UW
enough IH N AH F | rough R AH F | tough T AH F | cough K AO F | laugh L AE F | daughter D AO T ER
water W AO T ER | want W AA N T | what W AH T | people P IY P AX L | woman W UH M AX N
women W IH M AX N | friend F R EH N D | again AX G EH N | against AX G EH N S T
because B IH K AO Z | before B IH F AO R | why W AA IY | eye AA IY | eyes AA IY Z
heart HH AA R T | hear HH IH R | heard HH ER D | earth ER TH | early ER L IY | learn L ER N
year Y IH R | bear B EH R | wear W EH R | great G R EH IY T | break B R EH IY K | dead D EH D
head HH EH D | bread B R EH D | read R IY D | ready R EH D IY | already AO L R EH D IY
instead IH N S T EH D | heaven HH EH V AX N | heavy HH EH V IY | weather W EH DH ER
pleasure P L EH ZH ER | measure M EH ZH ER | sure SH UH R | sugar SH UH G ER | busy B IH Z IY
business B IH Z N AX S | minute M IH N AX T | money M AH N IY | month M AH N TH
monday M AH N D EH IY | son S AH N | front F R AH N T | other AH DH ER | another AX N AH DH ER
mother M AH DH ER | brother B R AH DH ER | nothing N AH TH IH NG | young Y AH NG
country K AH N T R IY | touch T AH CH | trouble T R AH B AX L | double D AH B AX L
cousin K AH Z AX N | blood B L AH D | flood F L AH D | door D AO R | floor F L AO R | poor P UH R
good G UH D | look L UH K | foot F UH T | wood W UH D | book B UH K | took T UH K | put P UH T
push P UH SH | pull P UH L | full F UH L | group G R UW P | soup S UW P | shoe SH UW
shoes SH UW Z | word W ER D | world W ER L D | work W ER K | worth W ER TH | worry W ER IY
answer AE N S ER | sword S AO R D | island AA IY L AX N D | iron AA IY ER N | listen L IH S AX N
castle K AE S AX L | often AO F AX N | hour AA UW ER | honest AA N AX S T | honor AA N ER
know N AO UW | knew N UW | knowledge N AA L AX JH | own AO UW N | now N AA UW | how HH AA UW
down D AA UW N | town T AA UW N | allow AX L AA UW | power P AA UW ER | flower F L AA UW ER
tomorrow T AX M AA R AO UW | today T AX D EH IY | tonight T AX N AA IY T
together T AX G EH DH ER | goes G AO UW Z | go G AO UW | going G AO UW IH NG | doing D UW IH NG
no N AO UW | so S AO UW | ago AX G AO UW | toward T AO R D | towards T AO R D Z | every EH V R IY
even IY V AX N | ever EH V ER | never N EH V ER | seven S EH V AX N | evening IY V N IH NG
eleven IH L EH V AX N | special S P EH SH AX L | please P L IY Z | these DH IY Z
those DH AO UW Z | this DH IH S | than DH AE N | then DH EH N | that DH AE T | they DH EH IY
them DH EH M | thus DH AH S | with W IH DH | without W IH DH AA UW T | us AH S | use Y UW Z
used Y UW Z D | usual Y UW ZH UW AX L | usually Y UW ZH AX L IY | music M Y UW Z IH K
beauty B Y UW T IY | beautiful B Y UW T AX F AX L | idea AA IY D IY AX | real R IY L
really R IY L IY | area EH R IY AX | quiet K W AA IY AX T | quite K W AA IY T
science S AA IY AX N S | ocean AO UW SH AX N | picture P IH K CH ER | promise P R AA M AX S
police P AX L IY S | machine M AX SH IY N | magazine M AE G AX Z IY N | believe B IH L IY V
piece P IY S | field F IY L D | height HH AA IY T | either IY DH ER | neither N IY DH ER
sign S AA IY N | design D IH Z AA IY N | child CH AA IY L D | children CH IH L D R AX N
wild W AA IY L D | climb K L AA IY M | find F AA IY N D | wind W IH N D | hi HH AA IY
buy B AA IY | guy G AA IY | goodbye G UH D B AA IY | bye B AA IY | die D AA IY | lie L AA IY
tie T AA IY | build B IH L D | built B IH L T | guess G EH S | guard G AA R D | guitar G IH T AA R
school S K UW L | stomach S T AH M AX K | character K EH R AX K T ER | echo EH K AO UW
ache EH IY K | anchor AE NG K ER | technology T EH K N AA L AX JH IY | rhythm R IH DH AX M
queen K W IY N | clothes K L AO UW Z | breathe B R IY DH | smooth S M UW DH | father F AA DH ER
half HH AE F | talk T AO K | walk W AO K | calm K AA M | always AO L W EH IY Z
almost AO L M AO UW S T | war W AO R | warm W AO R M | watch W AA CH | wash W AA SH
wander W AA N D ER | swan S W AA N | change CH EH IY N JH | strange S T R EH IY N JH
danger D EH IY N JH ER | angel EH IY N JH AX L | taste T EH IY S T | able EH IY B AX L
table T EH IY B AX L | baby B EH IY B IY | later L EH IY T ER | paper P EH IY P ER
lady L EH IY D IY | crazy K R EH IY Z IY | maybe M EH IY B IY | second S EH K AX N D
hundred HH AH N D R AX D | thousand TH AA UW Z AX N D | million M IH L Y AX N
january JH AE N Y UW EH R IY | february F EH B Y AX W EH R IY | wednesday W EH N Z D EH IY
mr M IH S T ER | mrs M IH S IH Z | ms M IH Z | dr D AA K T ER | hmm EN | mm M | shh SH
ok AO UW K EH IY | okay AO UW K EH IY | oh AO UW | ah AA | hey HH EH IY | wow W AA UW | huh HH AH
yeah Y AE | yes Y EH S | ugh AH G | ha HH AA | haha HH AA HH AA | aha AA HH AA | um AH M
can't K AE N T | don't D AO UW N T | won't W AO UW N T | aren't AA R N T | weren't W ER N T
study S T AH D IY | hotel HH AO UW T EH L | none N AH N | hm HH M | mhm M HH M | psst P S T
pfft P F T | grr G ER | tsk T S K | brr B ER | zzz Z | st S EH IY N T | vs V ER S AX S
etc EH T S EH T ER AX | over AO UW V ER | when W EH N | home HH AO UW M | open AO UW P AX N
around ER AA UW N D | company K AH M P AX N IY | body B AA D IY | national N AE SH AX N AX L
education EH JH AX K EH IY SH AX N | among AX M AH NG | certain S ER T AX N
favorite F EH IY V ER IH T | david D EH IY V IH D | michael M AA IY K AX L | o'clock AX K L AA K
let's L EH T S | ain't EH IY N T | y'all Y AO L | ma'am M AE M
"""

WORDS: dict[str, tuple[str, ...]] = {
    word: tuple(phones.split())
    for entry in _TABLE.replace("\n", "|").split("|")
    if entry.strip()
    for word, phones in [entry.strip().split(" ", 1)]
}
"""Phones by the word in small letters."""

_FIRST = """
after any day every eye fore good head heart here him home how life mean my night no one our out
over some them there through under water what when where who work your
"""
FIRST_PARTS = tuple(_FIRST.split())
"""What words made of two begin with."""
_SECOND = """
ache body book boy break by come day days else ever fall friend girl house how land life light line
looking made man mate melody men more night one out over place put room self selves shot sick side
stand standing step take thing things time times took town way ways what where while woman work
works
"""
SECOND_PARTS = frozenset(_SECOND.split())
"""And what they end in."""

LETTERS: dict[str, str] = {
    **{"a": "EH IY", "b": "B IY", "c": "S IY", "d": "D IY", "e": "IY", "f": "EH F", "g": "JH IY"},
    **{"h": "EH IY CH", "i": "AA IY", "j": "JH EH IY", "k": "K EH IY", "l": "EH L", "m": "EH M"},
    **{
        "n": "EH N",
        "o": "AO UW",
        "p": "P IY",
        "q": "K Y UW",
        "r": "AA R",
        "s": "EH S",
        "t": "T IY",
    },
    **{
        "u": "Y UW",
        "v": "V IY",
        "w": "D AH B AX L Y UW",
        "x": "EH K S",
        "y": "W AA IY",
        "z": "Z IY",
    },
}
"""The letters' names."""
_CAPITALS = """
add age ago ah air all am an and any are arm art as ask at ate eat egg end ice if ill in inn is it
of off oh old on or our out ow own up us use
"""
SHORT_CAPITALS = frozenset(_CAPITALS.split())
"""Words that may be written in capitals and still are words, though they begin with a vowel."""
_ABBREVIATIONS = "ceo cpu diy dna faq gif gpu hiv lol pdf ufo vip"
SPELLED = frozenset(_ABBREVIATIONS.split())
"""Abbreviations that look like words and are spelled."""
