"""Characters in, what one session reads of them out."""

from __future__ import annotations

from typing import Any

from server.characters.card_file import character_from_card
from server.characters.character import Character
from server.characters.persona import (
    MAIN_PROMPT,
    MAX_KEPT_CHARACTERS,
    read_greetings,
    read_group,
    read_persona,
)
from server.protocol.character_objects import LocalizedText
from tests.support.cards import book, entry, make_card


def character(name: str = "Mika", **data: Any) -> Character:
    """Made of a card."""
    return character_from_card(make_card(name, **data))


def toml(prompt: str, **fields: Any) -> Character:
    """Of this server's own kind."""
    return Character(id="aoi", name=LocalizedText(en="Aoi"), prompt=prompt, **fields)


FULL: dict[str, Any] = {
    "system_prompt": "{{original}} Be {{char}}.",
    "description": "{{char}} keeps a lighthouse.",
    "personality": "calm",
    "scenario": "A storm; {{user}} knocks.",
    "mes_example": "<START>\n{{user}}: Hi\n{{char}}: Come in.\n<START>\n{{char}}: Tea?",
    "character_book": book(
        entry("Second.", constant=True, insertion_order=2),
        entry("First, says {{char}}.", constant=True, insertion_order=1),
        entry("Behind.", constant=True, position="after_char"),
        entry("Woken by {{char}}.", "lamp"),
    ),
}


def test_the_head_of_a_card_has_its_order() -> None:
    """Main prompt, lore before, description, personality, scenario, lore after, examples."""
    main = MAIN_PROMPT.replace("{{char}}", "Mika").replace("{{user}}", "User")
    assert read_persona(character(**FULL)).head == "\n\n".join(
        [
            f"{main} Be Mika.",
            "First, says Mika.",
            "Second.",
            "Mika keeps a lighthouse.",
            "Mika's personality: calm",
            "Scenario: A storm; User knocks.",
            "Behind.",
            "Examples of how Mika talks:\n<START>\nUser: Hi\nMika: Come in.\n<START>\nMika: Tea?",
        ]
    )


def test_a_card_without_a_system_prompt_gets_the_usual_one() -> None:
    """And one with its own has only that."""
    assert read_persona(character(description="D")).head.startswith("You are Mika, talking with")
    assert read_persona(character(system_prompt="Own.", description="D")).head == "Own.\n\nD"


def test_what_is_for_people_is_not_read() -> None:
    """Notes, tags, creator, version, sources, dates and other applications' extensions."""
    secret: dict[str, Any] = {
        "creator_notes": "SECRET",
        "creator_notes_multilingual": {"ja": "SECRET"},
        "tags": ["SECRET"],
        "creator": "SECRET",
        "character_version": "SECRET",
        "source": ["SECRET"],
        "extensions": {"depth_prompt": {"prompt": "SECRET"}, "kaiwa": {"description": "SECRET"}},
        "unknown": "SECRET",
    }
    persona = read_persona(character(**FULL, **secret))
    assert "SECRET" not in repr(persona)


def test_a_nickname_is_what_a_character_is_called() -> None:
    """Character Card V3."""
    persona = read_persona(character("Mikaela Sato", nickname="Mika", description="{{char}}"))
    assert persona.name == "Mika"
    assert persona.head.endswith("\n\nMika")


def test_without_a_name_all_users_share_the_head() -> None:
    """A name of the user's own changes it where the card speaks of the user."""
    mika = character(**FULL)
    assert read_persona(mika).head == read_persona(mika, user_name="").head
    assert "Ken knocks" in read_persona(mika, user_name="Ken").head


def test_chance_is_decided_once() -> None:
    """The same seed gives the same head; others come to both words."""
    mika = character(description="likes {{random:tea,milk}}")
    assert read_persona(mika, seed=4).head == read_persona(mika, seed=4).head
    heads = {read_persona(mika, seed=seed).head[-4:] for seed in range(40)}
    assert heads == {" tea", "milk"}


def test_the_same_is_read_once() -> None:
    """A session asks again at each of its changes."""
    mika = character(**FULL)
    assert read_persona(mika) is read_persona(mika)
    assert read_persona(mika) is not read_persona(character(**FULL))


def test_what_is_kept_is_bounded() -> None:
    """By its text; what was not asked for lately goes, and is read again."""
    aoi = toml("x")
    first = read_persona(aoi)
    for number in range(5):
        read_persona(toml("y" * (MAX_KEPT_CHARACTERS // 4)), seed=number)
    assert read_persona(aoi) is not first
    assert read_persona(aoi) == first
    huge = toml("z" * (MAX_KEPT_CHARACTERS + 1))
    assert read_persona(huge) is not read_persona(huge)


def test_greetings_can_be_read_alone() -> None:
    """As they are in the persona."""
    mika = character(first_mes="I am {{char}}.", alternate_greetings=["Hi {{user}}!"])
    for name in ("", "Ken"):
        greetings = tuple(read_greetings(mika, user_name=name))
        assert greetings == read_persona(mika, user_name=name).greetings


def test_greetings_have_values_for_their_macros() -> None:
    """The first message, then the alternatives; empty ones are none."""
    mika = character(first_mes="I am {{char}}.", alternate_greetings=["Hi {{user}}!", "  "])
    greetings = read_persona(mika, user_name="Ken").greetings
    assert [greeting.en for greeting in greetings] == ["I am Mika.", "Hi Ken!"]


def test_post_history_has_no_original_to_put_in() -> None:
    """There is no usual text of that kind here."""
    mika = character(post_history_instructions="{{original}} Be brief, {{char}}.")
    assert read_persona(mika).post_history.strip() == "Be brief, Mika."


def test_books_hold_what_can_still_come_up() -> None:
    """With macros as they were written; the persona fills them in."""
    persona = read_persona(character(**FULL))
    (left,) = persona.books
    assert [one.content for one in left.entries] == ["Woken by {{char}}."]
    assert persona.fill(left.entries[0].content) == "Woken by Mika."
    only = character(character_book=book(entry("x", constant=True)))
    assert read_persona(only).books == ()


def test_constant_lore_that_can_be_forbidden_is_not_in_the_head() -> None:
    """The lore room decides about it at each message."""
    late = entry("@@activate_only_after 3\nLate.", constant=True)
    persona = read_persona(character(character_book=book(late)))
    assert "Late." not in persona.head
    assert len(persona.books[0].entries) == 1


def test_switched_off_lore_is_nowhere() -> None:
    """Constant or not."""
    persona = read_persona(
        character(character_book=book(entry("Off.", constant=True, enabled=False)))
    )
    assert "Off." not in persona.head


def test_hidden_keys_of_the_head_are_found_but_not_read() -> None:
    """For lore that looks for them."""
    persona = read_persona(character(description="Kind.{{hidden_key:lamp}}"))
    assert persona.hidden == ("lamp",)
    assert "lamp" not in persona.head


def test_a_template_in_a_card_is_text() -> None:
    """Nothing is evaluated."""
    text = "{{ 7 * 7 }} {% for x in y %} ${HOME} {{self.__class__}}"
    assert read_persona(character(description=text)).head.endswith(text)


def test_a_prompt_of_our_own_is_read_as_it_is() -> None:
    """Byte for byte, spaces and angle brackets too."""
    for prompt in (" You are Aoi. <USER> {x} \n", "", "葵"):
        assert read_persona(toml(prompt)).head == prompt


def test_a_prompt_of_our_own_may_have_macros() -> None:
    """They are filled in where it has any."""
    assert read_persona(toml("You talk to {{user}}."), user_name="Ken").head == "You talk to Ken."


def test_both_languages_of_a_greeting_are_filled_in() -> None:
    """As both may be said."""
    aoi = toml("x", greeting=LocalizedText(en="Hi {{user}}", ja="やあ、{{user}}"))
    (greeting,) = read_persona(aoi, user_name="Ken").greetings
    assert (greeting.en, greeting.ja) == ("Hi Ken", "やあ、Ken")


def test_a_room_has_everybody_in_one_head() -> None:
    """In the order given, each under its name, with a line that says who they are."""
    group = [toml("You are Aoi."), character(description="A keeper."), character("Nao")]
    persona = read_group(group, user_name="Ken")
    assert persona.name == "Aoi, Mika and Nao"
    assert "a conversation of Ken with Aoi, Mika and Nao" in persona.head
    assert persona.head.endswith("\n\n# Aoi\nYou are Aoi.\n\n# Mika\nA keeper.\n\n# Nao")


def test_a_room_is_read_without_anybodys_main_prompt() -> None:
    """Each would say that the model is one of them; a card's own words stay."""
    mika = character(system_prompt="{{original}}Mika is polite.")
    head = read_group([mika, character("Nao")]).head
    assert "You are Mika" not in head
    assert "# Mika\nMika is polite." in head


def test_a_room_is_greeted_by_the_first() -> None:
    """With what its card has for rooms, then as usual."""
    mika = character(first_mes="Hi.", group_only_greetings=["Hello, all of you."])
    greetings = read_group([mika, character("Nao", first_mes="Nao here.")]).greetings
    assert [greeting.en for greeting in greetings] == ["Hello, all of you.", "Hi."]


def test_a_rooms_instructions_say_whose_they_are() -> None:
    """Only those who have any."""
    mika = character(post_history_instructions="Be brief.")
    assert read_group([mika, character("Nao")]).post_history == "Mika: Be brief."


def test_in_a_room_lore_speaks_of_whose_book_it_is() -> None:
    """``{{char}}`` is not who speaks next; other macros stay."""
    first = character(character_book=book(entry("{{char}} likes {{user}}.", "{{char}}")))
    second = character("Nao", character_book=book(entry("<BOT> naps.", "nap")))
    books = read_group([first, second]).books
    assert [one.entries[0].content for one in books] == ["Mika likes {{user}}.", "Nao naps."]
    assert books[0].entries[0].keys == ("Mika",)


def test_one_alone_is_no_room() -> None:
    """Whoever asks for it gets the character."""
    mika = character(**FULL)
    assert read_group([mika]) is read_persona(mika)


def test_sessions_share_what_leaves_nothing_to_chance() -> None:
    """The very same persona, books and all; where chance decides, each seed has its own."""
    fixed = character_from_card(make_card("Mika", description="A keeper."))
    assert read_persona(fixed, seed=1) is read_persona(fixed, seed=2)
    dice = character_from_card(make_card("Mika", description="{{ROLL:d20}} {{random:a,b,c,d,e}}"))
    assert len({read_persona(dice, seed=seed).head for seed in range(20)}) > 1
