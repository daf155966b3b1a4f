"""A character with a lorebook, twenty things a visitor says, and three ways to prompt it.

*off*: head and history. *frozen*: what is woken is written behind the message that woke it
(``server.lore``). *rebuilt*: as front ends usually do, what the last messages wake stands in the
head before the character's description, and the post-history instructions behind the newest
message; the prompt is put together anew each turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from engine.chat_template import ChatMessage
from server.cards.lorebook import Lorebook, LoreEntry
from server.conversation.conversation import Conversation
from server.conversation.entries import Entry
from server.conversation.said import length_behind, questions, spoken
from server.lore.lore import Lore
from server.lore.note import NoteWriter
from server.lore.scene import Scene
from server.protocol.items import ContentPart, MessageItem

Way = Literal["off", "frozen", "rebuilt"]
WAYS: tuple[Way, ...] = ("off", "frozen", "rebuilt")

MAIN = (
    "Write the next reply of Marina in a conversation with a visitor. Stay in her voice, answer "
    "what was asked, and keep to what she knows."
)
PERSONA = """\
Marina keeps the lighthouse of Saltmere, a small harbour town at the end of a long bay. She is
thirty-four years old, tall, with short dark hair that the wind has never let her grow, and she
wears a heavy blue coat with brass buttons that was her father's. She came to the light when he
fell ill, meaning to stay for one winter, and that was eleven years ago. She speaks slowly and
plainly, in short sentences, and she laughs before she has finished her own jokes. She likes people
and is shy of crowds. She drinks her tea black and far too strong. She knows the name of every boat
that sails past and of most people aboard. She writes down the weather four times a day, by hand, in
books with green covers, and she has never missed an entry. She reads old sea stories in the evening
and argues with them aloud. She mends what is broken, and takes apart what is not, to see why.
She believes that most things can be understood if one looks for long enough, and that the fog is
the one exception. She does not like to be hurried, to be pitied or to be told about the city. She
has a brother there who asks her every spring to sell the house, and every spring she burns the
letter, and then answers it kindly. She has been in love once, with a surveyor who mapped the bay,
and she still has one of his pencils. She is proud of the great lamp, which she polishes before each
dusk, and of the stairs, of which there are one hundred and ninety-two. When a visitor climbs them
she counts along under her breath. She is afraid of nothing in the sea and of a good deal on land.
She keeps a garden in old crates behind the wall, where she grows beans, onions and one stubborn
rose. She tells visitors the truth about the tide, even when they do not want to hear it. She sings
when she believes that nobody is there. In the town they say that she can smell a storm a day ahead;
she says that it is the barometer, and winks. She calls the light "the old lady" and the sea "the
neighbour". She gives every lost thing that the waves bring a place on her shelf and a label with
the date. She is never rude, though she can be silent for a long while. She offers each visitor a
cup, a chair by the stove and one question in return for each of theirs."""
EXAMPLES = """\
Visitor: Is it not lonely up here?
Marina: Lonely? I have the old lady, the neighbour, and forty gulls with opinions. Sit. Tea?
Visitor: What do you do all day?
Marina: I wait for the night. And I mend things. The day is mostly for mending.
Visitor: Have you ever wanted to leave?
Marina: Every spring, for about an hour. Then the beans come up, and somebody has to be here."""
CONSTANT = "Saltmere has nine hundred people, one road, one inn and one light. It is late autumn."
INSTRUCTIONS = "Answer as Marina, in at most three short sentences, and end with a question."

SCAN_DEPTH = 4
_SUBJECTS = (
    ("Otto", "the ferryman, a broad and patient man", "rows to the island twice a day"),
    ("Black Rock", "a reef north of the bay", "has taken six ships, the last one in May"),
    ("the Gull", "the only inn of the town", "serves fish soup and bad advice"),
    ("Hanne", "the baker, who rises at three", "hears all the news before anybody else"),
    ("the fog bell", "a cast iron bell below the light", "rings by itself when the wind turns"),
    ("Captain Brandt", "a retired whaler with one eye", "tells the same story in nine ways"),
    ("the island", "a flat green place of sheep and stones", "cannot be reached at low tide"),
    ("the chapel", "a small white house on the cliff", "keeps the names of the drowned"),
    ("Ines", "the schoolteacher, who came from the south", "collects the town's old songs"),
    ("the old mine", "a tunnel under the eastern hill", "was closed after the flood"),
    ("Pelle", "a boy of ten who wants to be a keeper", "climbs the stairs every Sunday"),
    ("the Merrow", "a schooner with red sails", "comes in each autumn and is never unloaded"),
    ("the tide wall", "a long wall of black stones", "was built by the grandmothers of the town"),
    ("Doctor Ahlberg", "the doctor, who keeps bees", "pays the children in honey"),
    ("the lantern feast", "a night in November", "sends a light to sea for each missing boat"),
    ("the surveyor", "a quiet man named Lund", "drew the best map of the bay and left"),
    ("the seals", "a family of grey seals", "sleep on the slipway and fear nobody"),
    ("the harbour master", "a strict woman named Vega", "writes fines in very fine handwriting"),
    ("the green books", "the weather records of the light", "go back one hundred and six years"),
    ("the great lamp", "a lens taller than a man", "was carried up in forty pieces"),
    ("the ropewalk", "a long shed by the quay", "smells of tar and holds dances in winter"),
    ("Old Sten", "the keeper before Marina's father", "is said to walk the stairs at night"),
    ("the drowned village", "six houses under the bay", "can be heard when its bells move"),
    ("the market", "twelve stalls on Saturdays", "sells eels, wool and second-hand clocks"),
    ("the smugglers", "three cousins with a fast boat", "bring in nothing but fine tea"),
    ("the northern lights", "a green glow in cold years", "make the gulls fall silent"),
    ("the cannery", "a brick hall with broken windows", "stopped when the herring went away"),
    ("the herring", "the silver fish of the old days", "came back for one week last spring"),
    ("the barometer", "a brass instrument on the wall", "was a gift of the Merrow's first mate"),
    ("the rose", "a stubborn rose in a crate", "flowered in the worst storm of all"),
    ("the brother", "Marina's brother Emil in the city", "wants the house sold every spring"),
    ("the ice winter", "the winter in which the bay froze", "let people walk to the island"),
    ("the piano", "a piano without legs that washed ashore", "still plays eleven notes"),
    ("the wreckers", "a story from great-grandfathers' days", "is not told to strangers"),
    ("the post boat", "a grey launch on Tuesdays", "carries letters, seeds and one dentist"),
    ("the cave", "a sea cave below the light", "breathes when the swell comes from the west"),
    ("the storm glass", "a sealed glass of feathery crystals", "has been wrong only twice"),
    ("the painted door", "a blue door in the cliff", "opens on nothing but rock"),
    ("the young queen", "a visitor of long ago", "climbed all the stairs and counted wrong"),
    ("the shelf", "the shelf of things from the sea", "holds a glass eye and a wedding ring"),
)
_SAID = (
    "Good evening. That was a long way up.",
    "Thank you. Who is Otto? He would not take my money.",
    "Does he go to the island in this weather?",
    "I saw a ship with red sails. Is that the Merrow?",
    "It looked as if nobody was aboard. Strange.",
    "I slept at the Gull last night. Hanne said to greet you.",
    "The tea is very good, by the way.",
    "What is the bell that I heard? Is it the fog bell?",
    "Does that not frighten you at night?",
    "Captain Brandt told me about Black Rock. Is it true?",
    "He told it twice, and it was not the same.",
    "May I see the great lamp? And the green books?",
    "You have never missed a day. I could not do that.",
    "What is on the shelf over there?",
    "Somebody must miss that ring.",
    "Ines said there is a drowned village. Can one hear it?",
    "I would like to come back for the lantern feast.",
    "Is the painted door the one I saw from the boat?",
    "I ought to go down before it is dark.",
    "Did Old Sten really count the stairs wrong, or was that the young queen?",
)


def lorebook() -> Lorebook:
    """Return what is always known of a town, and forty things that may come up."""
    entries = [_entry(0, "always", (), CONSTANT, constant=True)]
    for number, subject in enumerate(_SUBJECTS, start=1):
        entries.append(_entry(number, *_article(*subject)))
    return Lorebook(
        name="Saltmere",
        description="",
        scan_depth=SCAN_DEPTH,
        token_budget=600,
        recursive_scanning=False,
        extensions={},
        entries=tuple(entries),
    )


def _article(subject: str, what: str, fact: str) -> tuple[str, tuple[str, ...], str]:
    key = subject.removeprefix("the ")
    text = (
        f"{subject[0].upper()}{subject[1:]}: {what}. It is known in all of Saltmere that {subject} "
        f"{fact}. Marina has her own opinion of it, and gives it when she is asked."
    )
    return key, (key,), text


def _entry(
    number: int, name: str, keys: tuple[str, ...], content: str, *, constant: bool = False
) -> LoreEntry:
    return LoreEntry(
        id=str(number),
        name=name,
        keys=keys,
        secondary_keys=(),
        selective=False,
        content=content,
        decorators=(),
        enabled=True,
        insertion_order=number,
        case_sensitive=False,
        use_regex=False,
        constant=constant,
        priority=0,
        position="before_char",
        extensions={},
    )


class Talk:
    """One conversation, prompted in one way.

    Args:
        way: Which.
        seed: Of the lore.
    """

    def __init__(self, way: Way, *, seed: int = 0) -> None:
        self.way = way
        self._conversation = Conversation(f"talk_{way}", max_items=1000, max_bytes=1 << 20)
        self._lore = Lore([lorebook()], seed=seed)
        self._writer = NoteWriter(self._lore if way == "frozen" else None)
        self._turn = 0

    def ask(self, text: str) -> list[ChatMessage]:
        """Take what the visitor says, and return what the model reads."""
        self._turn += 1
        asked = _message(f"u{self._turn}", "user", text)
        entries = [*self._conversation.entries, asked]
        standing = questions(self._conversation.entries)
        scene = Scene(said=spoken(entries), item_id=asked.id, turn=self._turn, standing=standing)
        if self.way == "rebuilt":
            self._conversation.insert(asked, None)
            return self._rebuild(scene)
        stands_at = self._writer.post_history.item_id
        asked.add_note(
            self._writer.compose(
                scene,
                instructions=INSTRUCTIONS,
                num_read_since=length_behind(entries, stands_at),
            )
        )
        self._conversation.insert(asked, None)
        head = (
            [MAIN, CONSTANT, PERSONA, EXAMPLES]
            if self.way == "frozen"
            else [MAIN, PERSONA, EXAMPLES]
        )
        return [ChatMessage("system", "\n\n".join(head)), *self._conversation.messages()]

    def answer(self, text: str) -> None:
        """Take what the model has replied."""
        self._conversation.insert(_message(f"a{self._turn}", "assistant", text), None)

    def _rebuild(self, scene: Scene) -> list[ChatMessage]:
        """Put the prompt together as if there had been none before."""
        fresh = Lore([lorebook()], seed=0).wake(scene)
        known = [CONSTANT, *(entry.text for entry in fresh)]
        head = ChatMessage("system", "\n\n".join([MAIN, *known, PERSONA, EXAMPLES]))
        return [head, *self._conversation.messages(), ChatMessage("system", INSTRUCTIONS)]


def visitor() -> Sequence[str]:
    """What is said, turn by turn."""
    return _SAID


def _message(item_id: str, role: Literal["user", "assistant"], text: str) -> Entry:
    item = MessageItem(id=item_id, role=role, content=[ContentPart(type="text", text=text)])
    entry = Entry(item, [text] if role == "assistant" else [])
    entry.recount(len(text.encode()))
    return entry
