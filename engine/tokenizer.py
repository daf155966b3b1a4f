"""Text to token ids and back, and a conversation to the prompt that the model was trained on.

Works from the files beside the weights with the ``tokenizers`` library alone, so that the process
that holds the sockets never imports transformers or torch.

A conversation's *marked text* is the rendered text in which each control token of the template is
a pair of surrogates instead of its name. No message can hold those, so two marked texts are equal
only where both have the same control tokens in the same places; names that somebody merely spells
stay text. It is what prompts are compared by (``server.conversation.token_log``).
"""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import tokenizers

from engine.chat_template import ChatMessage, ChatTemplate, map_message
from engine.errors import ModelNotFound, UnsupportedModel
from engine.plain_text import ControlTokens, PlainEncoder, encode_alone
from engine.token_pieces import PieceTable
from engine.tool_dialect import Tool, ToolDialect, map_tool

_NAMED_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token")
_MAX_KEPT_ANSWERS = 64
_MARK = re.compile("[\ud800-\udbff][\udc00-\udfff]")


class Tokenizer:
    """A model's tokenizer together with its chat template.

    Args:
        backend: Is changed: truncation and padding are switched off, named tokens made special.
        named_tokens: Text of ``bos_token``, ``eos_token`` and so on, as far as the model has them.
        template: Jinja text of the chat template; ``None`` takes a fallback.
        template_variables: What the template may refer to, such as ``enable_thinking``.

    Attributes:
        bos_token: Text of the token that begins a prompt, if the model has one.
        eos_token: Text of the token that ends a reply, if the model has one.
        special_token_ids: Tokens that are structure, not text.
        vocab_size: One more than the highest token id.
        chat_template: How a conversation becomes text.
        tool_dialect: How the model writes the call of a tool, with its control tokens.
        marker_token_ids: The special tokens among them; a reply's text shows these.
    """

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        *,
        named_tokens: Mapping[str, str] | None = None,
        template: str | None = None,
        template_variables: Mapping[str, object] | None = None,
    ) -> None:
        named = dict(named_tokens or {})
        backend.no_truncation()
        backend.no_padding()
        _make_special(backend, named.values())
        self._backend = backend
        self._control = ControlTokens(backend)
        self._plain = PlainEncoder(backend, self._control)
        self.bos_token = named.get("bos_token")
        self.eos_token = named.get("eos_token")
        added = backend.get_added_tokens_decoder()
        self.special_token_ids = frozenset(i for i, token in added.items() if token.special)
        self.vocab_size = max(backend.get_vocab().values(), default=-1) + 1
        self._pieces = {
            skip: PieceTable.of(backend, skipped=self.special_token_ids if skip else frozenset())
            for skip in (True, False)
        }
        self.chat_template = self._template(template, {**named, **(template_variables or {})})
        self.tool_dialect = self._with_control_tokens(self.chat_template.tool_dialect)
        self.marker_token_ids = self.special_token_ids.intersection(
            token_id for _, token_id in self.tool_dialect.token_ids
        )
        hidden = self.special_token_ids - self.marker_token_ids
        self._reply_pieces = (
            PieceTable.of(backend, skipped=hidden) if self.marker_token_ids else self._pieces[True]
        )
        self._containing: dict[tuple[str, ...], list[int]] = {}

    @classmethod
    def from_folder(
        cls, path: Path, *, template_variables: Mapping[str, object] | None = None
    ) -> Tokenizer:
        """Read a checkpoint's tokenizer.

        Args:
            path: The folder with ``tokenizer.json`` and, as far as there are any,
                ``tokenizer_config.json``, ``special_tokens_map.json`` and ``chat_template.jinja``.
            template_variables: See the class.

        Raises:
            ModelNotFound: There is no tokenizer; the sentence names what is missing.
            UnsupportedModel: A file cannot be understood, or the chat template does not work.
        """
        config = _read_json(path / "special_tokens_map.json")
        config |= _read_json(path / "tokenizer_config.json")
        return cls(
            _backend(path),
            named_tokens=_named_tokens(config),
            template=_template_text(path, config),
            template_variables=template_variables,
        )

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Encode trusted text: names of special tokens in it become these tokens.

        Args:
            text: A prompt.
            add_special_tokens: Whether to add what the tokenizer puts around a text (BOS, say).
        """
        return encode_alone(self._backend, _valid(text), add_special_tokens=add_special_tokens)

    def encode_plain(self, text: str) -> list[int]:
        """Encode text from outside: names of special tokens in it stay text."""
        return self._plain.encode(_valid(text), start=True)

    def encode_chat(
        self,
        messages: Sequence[ChatMessage],
        *,
        tools: Sequence[Tool] = (),
        add_generation_prompt: bool = True,
    ) -> list[int]:
        """Encode a conversation; only the template can write control tokens, no message can.

        The result is transformers' own as long as no message spells a control token. Otherwise the
        text between the template's control tokens is encoded by a tokenizer that has none. The same
        holds for tools, for the arguments of calls, and for results.

        Args:
            messages: At least one.
            tools: What the model may call.
            add_generation_prompt: Whether to end where the assistant's reply begins.

        Raises:
            TemplateRefused: The template does not render this conversation.
        """
        text, pieces, restore = self._write(messages, tools, add_generation_prompt)
        ids = self.encode(text, add_special_tokens=False)
        # Compared by ids and not by text: a normalizer may turn full-width look-alikes into names.
        written = [token_id for _, token_id in pieces if token_id is not None]
        made = [token_id for token_id in ids if token_id in self._control.id_set]
        if made == written or (not restore and Counter(made) <= Counter(written)):
            return ids  # fewer: a tokenizer that overlooks its own names, as early Llama 2 files do
        ids = []
        for index, (piece, control_id) in enumerate(pieces):
            ids += self._plain.encode(piece.translate(restore), start=index == 0)
            if control_id is not None:
                ids.append(control_id)
        return ids

    def mark_chat(
        self,
        messages: Sequence[ChatMessage],
        *,
        tools: Sequence[Tool] = (),
        add_generation_prompt: bool = True,
    ) -> str:
        """Render a conversation to its marked text; see the module.

        Args:
            messages: At least one.
            tools: What the model may call.
            add_generation_prompt: Whether to end where the assistant's reply begins.

        Raises:
            TemplateRefused: The template does not render this conversation.
        """
        _, pieces, restore = self._write(messages, tools, add_generation_prompt)
        return "".join(
            piece.translate(restore) + ("" if control_id is None else _mark(control_id))
            for piece, control_id in pieces
        )

    def encode_marked(self, text: str, begin: int = 0) -> list[int]:
        """Encode marked text from a place on, to be put behind the ids of what is before it.

        Args:
            text: The whole marked text.
            begin: Where to start; not inside a mark.
        """
        ids: list[int] = []
        done, bare = begin, begin > 0 and not "\udc00" <= text[begin - 1] <= "\udfff"
        for found in _MARK.finditer(text, begin):
            ids += self._plain.encode(text[done : found.start()], start=done == 0, bare=bare)
            ids.append(_id_of(found[0]))
            done, bare = found.end(), False
        return ids + self._plain.encode(text[done:], start=done == 0, bare=bare)

    def prompt_cuts(self, text: str, token_ids: Sequence[int]) -> list[tuple[int, int]]:
        """Find the places in a prompt behind which tokens do not depend on what is before.

        Args:
            text: Its marked text.
            token_ids: Its ids, as ``encode_chat`` or ``encode_marked`` gave them.

        Returns:
            ``(length of the text before, number of tokens before)`` behind each control token.
        """
        cuts: list[tuple[int, int]] = []
        count = 0
        for found in _MARK.finditer(text):
            control_id = _id_of(found[0])
            while count < len(token_ids) and token_ids[count] != control_id:
                count += 1
            if count == len(token_ids):
                break  # a tokenizer that overlooks its own names
            count += 1
            cuts.append((found.end(), count))
        return cuts

    def spell(self, token_ids: Sequence[int]) -> tuple[str, list[tuple[int, int]]]:
        """Write a reply's tokens as marked text, as it stands behind its prompt.

        Returns:
            The text, and the places where it may be cut between two tokens: ``(length of the text
            before, number of tokens before)``, ascending, the end included where it is one. Where
            a character is spread over tokens there is no such place between them.
        """
        table = self._pieces[False]
        if table is None:
            return self._spell_in_runs(token_ids)
        decoder = codecs.getincrementaldecoder("utf-8")(table.errors)
        parts: list[str] = []
        cuts: list[tuple[int, int]] = []
        length = 0
        for count, token_id in enumerate(token_ids, start=1):
            if token_id in self._control.id_set:
                part = decoder.decode(b"", True) + _mark(token_id)
                decoder.reset()
            else:
                piece = table[token_id]
                part = decoder.decode(piece.encode() if isinstance(piece, str) else piece)
            parts.append(part)
            length += len(part)
            if not decoder.getstate()[0]:
                cuts.append((length, count))
        return "".join(parts), cuts

    def _spell_in_runs(self, token_ids: Sequence[int]) -> tuple[str, list[tuple[int, int]]]:
        """Spell where a token alone says nothing: control tokens, and what is between them."""
        text, cuts, run = "", [], 0
        for count, token_id in enumerate([*token_ids, None], start=1):
            if token_id is not None and token_id not in self._control.id_set:
                continue
            if run < count - 1:
                text += self.decode(token_ids[run : count - 1], skip_special_tokens=False)
                cuts.append((len(text), count - 1))
            if token_id is not None:
                text += _mark(token_id)
                cuts.append((len(text), count))
            run = count
        return text, cuts

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """Decode tokens to text.

        The text is the tokenizer's own, without transformers' optional clean-up of spaces, which
        changes what the model wrote. Broken byte-fallback tokens: see ``token_pieces``.
        """
        text = self._backend.decode(token_ids, skip_special_tokens=skip_special_tokens)
        pieces = self._pieces[skip_special_tokens]
        if pieces is not None and "\N{REPLACEMENT CHARACTER}" in text:
            return pieces.decode(token_ids)
        return text

    def pieces(self, *, skip_special_tokens: bool = True) -> PieceTable | None:
        """What each token adds to a text, if this tokenizer's decoder can be told so."""
        return self._pieces[skip_special_tokens]

    def reply_pieces(self) -> PieceTable | None:
        """Like ``pieces``, for replies: of the special tokens only call markers are shown."""
        return self._reply_pieces

    def token_to_id(self, token: str) -> int | None:
        """The id of a token by its name."""
        return self._backend.token_to_id(token)

    def ids_containing(self, strings: Iterable[str]) -> list[int]:
        """Token ids whose own text contains one of the strings, in ascending order.

        The first call takes the whole vocabulary apart (up to a second for 150,000 tokens, so ask
        once at start), each new question walks over it (0.1 s), and answers are kept.
        """
        wanted = tuple(sorted({text for text in strings if text}))
        found = self._containing.get(wanted)
        if found is None:
            found = self._search(wanted)
            if len(self._containing) >= _MAX_KEPT_ANSWERS:
                self._containing = {}
            self._containing[wanted] = found
        return list(found)

    def _write(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Tool],
        add_generation_prompt: bool,
    ) -> tuple[str, list[tuple[str, int | None]], dict[int, str]]:
        """Render, and find the control tokens that the template itself wrote.

        Returns:
            The text; its pieces as ``ControlTokens.split`` gives them, of messages that spell no
            name any more; and the table that restores what they do spell.
        """
        messages = [map_message(_valid, message) for message in messages]
        tools = [map_tool(_valid, tool) for tool in tools]
        text = self.chat_template.render(
            messages, tools=tools, add_generation_prompt=add_generation_prompt
        )
        outside = _texts_of(messages, tools)
        disguised, restore = self._control.disguise(outside, avoid=text)
        if not restore:
            return text, self._control.split(text), restore
        masks = dict(zip(outside, disguised, strict=True))
        harmless = self.chat_template.render(
            [map_message(masks.__getitem__, message) for message in messages],
            tools=[map_tool(masks.__getitem__, tool) for tool in tools],
            add_generation_prompt=add_generation_prompt,
        )
        return text, self._control.split(harmless), restore

    def _search(self, wanted: Sequence[str]) -> list[int]:
        table = self._pieces[False]
        in_bytes = [text.encode() for text in wanted]
        found = []
        for token_id in range(self.vocab_size):
            piece = self._backend.decode([token_id], False) if table is None else table[token_id]
            if isinstance(piece, str):
                if any(text in piece for text in wanted):
                    found.append(token_id)
            elif any(text in piece for text in in_bytes):
                found.append(token_id)
        return found

    def _with_control_tokens(self, dialect: ToolDialect) -> ToolDialect:
        """The dialect, knowing which of its words are control tokens of this vocabulary."""
        found: dict[str, int] = {}
        for text in (dialect.first, dialect.middle, dialect.between or "", dialect.last):
            ids = [token_id for _, token_id in self._control.split(text)]
            names = {i: self._backend.id_to_token(i) for i in ids if i is not None}
            found |= {name: i for i, name in names.items() if name is not None}
        return msgspec.structs.replace(dialect, token_ids=tuple(sorted(found.items())))

    def _template(self, source: str | None, variables: dict[str, object]) -> ChatTemplate:
        if source is not None:
            return ChatTemplate(source, variables)
        if self.bos_token is None or self.encode("")[:1] != [self.token_to_id(self.bos_token)]:
            variables["bos_token"] = ""  # the model wants none
        chatml = self.token_to_id("<|im_start|>") is not None
        return ChatTemplate.fallback(chatml=chatml, variables=variables)


def _texts_of(messages: Iterable[ChatMessage], tools: Iterable[Tool]) -> list[str]:
    """Every text that was not written by the template."""
    texts: list[str] = []

    def note(text: str) -> str:
        texts.append(text)
        return text

    for message in messages:
        map_message(note, message)
    for tool in tools:
        map_tool(note, tool)
    return texts


def _mark(token_id: int) -> str:
    return chr(0xD800 + (token_id >> 10)) + chr(0xDC00 + (token_id & 0x3FF))


def _id_of(mark: str) -> int:
    return (ord(mark[0]) - 0xD800 << 10) + ord(mark[1]) - 0xDC00


def _valid(text: str) -> str:
    """The text without lone surrogates, which JSON can bring and UTF-8 cannot express."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _backend(path: Path) -> tokenizers.Tokenizer:
    file = path / "tokenizer.json"
    if file.is_file():
        try:
            return tokenizers.Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises nothing narrower
            raise UnsupportedModel(
                f"{file} cannot be read: {error}; download the model again"
            ) from error
    missing = ModelNotFound(
        f"there is no tokenizer.json in {path}; add the tokenizer's files to the model's folder "
        "(transformers' AutoTokenizer finds none of its other formats there either)"
    )
    if not path.is_dir():
        raise missing
    from transformers import AutoTokenizer  # seconds; only for folders without tokenizer.json

    try:
        slow: Any = AutoTokenizer.from_pretrained(str(path), trust_remote_code=False)
        backend: tokenizers.Tokenizer = slow.backend_tokenizer
    except Exception as error:  # whatever the many formats' readers raise
        raise missing from error
    return backend


def _read_json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UnsupportedModel(f"{file} is not JSON: {error}; download the model again") from error
    return content if isinstance(content, dict) else {}


def _named_tokens(config: Mapping[str, Any]) -> dict[str, str]:
    named = {}
    for name in _NAMED_TOKENS:
        token = config.get(name)
        text = token.get("content") if isinstance(token, dict) else token
        if isinstance(text, str) and text:
            named[name] = text
    return named


def _template_text(path: Path, config: Mapping[str, Any]) -> str | None:
    file = path / "chat_template.jinja"
    if file.is_file():
        try:
            return file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UnsupportedModel(f"{file} is not UTF-8: {error}") from error
    template = config.get("chat_template")
    if isinstance(template, list):
        by_name = {entry.get("name"): entry.get("template") for entry in template}
        template = by_name.get("default")
    return template if isinstance(template, str) else None


def _make_special(backend: tokenizers.Tokenizer, names: Any) -> None:
    """Mark the model's named tokens special, as transformers does, where they exist."""
    special = {t.content for t in backend.get_added_tokens_decoder().values() if t.special}
    missing = [n for n in names if n not in special and backend.token_to_id(n) is not None]
    backend.add_special_tokens(
        [tokenizers.AddedToken(name, special=True, normalized=False) for name in missing]
    )
