"""What is read before anything listens: keys, characters, the store; and what is odd about them."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from engine.chat_template import ChatMessage
from engine.errors import ConfigError
from server.auth.authenticator import Authenticator
from server.auth.key_file import read_keys
from server.auth.origins import check_exposure
from server.characters.catalog import Catalog
from server.characters.character import Character
from server.characters.files import load_character_file, load_lorebook_file
from server.characters.kept_cards import read_kept_cards, take_in
from server.characters.persona import read_persona
from server.characters.uploads import Uploads
from server.config.settings import ServerSettings
from server.conversation.prompt import MAX_REPLY_RESERVE
from server.engine_port import EnginePort
from server.metrics import Metrics
from server.recording.writer import open_recorder
from server.state import ServerState
from server.store.open_store import open_store

logger = logging.getLogger(__name__)


def build_state(settings: ServerSettings) -> ServerState:
    """Check who may come in and who is served.

    Raises:
        ConfigError: Keys, exposure or characters cannot be used.
    """
    found = read_keys(settings.auth)
    check_exposure(settings.listen, settings.auth, requires_key=bool(found.keys))
    for warning in found.warnings:
        logger.warning("%s", warning)
    auth = Authenticator(found.keys)
    name = Path(settings.engine.model.model.rstrip("/")).name
    characters = [load_character_file(path) for path in settings.characters.resolved()]
    books = tuple(load_lorebook_file(path) for path in settings.characters.lorebooks)
    characters = [replace(one, books=(*one.books, *books)) for one in characters]
    if settings.characters.prompt:
        characters.insert(0, Character.from_prompt("custom", settings.characters.prompt))
    limits = settings.characters
    uploads = Uploads(max_characters=limits.max_uploaded, max_bytes=limits.max_uploaded_bytes)
    try:
        catalog = Catalog(name, characters, uploads=uploads)
    except ValueError as error:
        raise ConfigError(str(error), param="characters.files") from None
    _tell_of_other_engines(catalog)
    if limits.folder is not None:
        take_in(read_kept_cards(limits.folder, auth.principals), catalog)
    store = open_store(settings.history)
    metrics = Metrics(settings.metrics)
    return ServerState(
        settings=settings,
        catalog=catalog,
        auth=auth,
        store=store,
        metrics=metrics,
        recorder=open_recorder(settings.record, metrics),
    )


def _tell_of_other_engines(catalog: Catalog) -> None:
    """Say once, by name, who was made for another engine than the one that is served."""
    strangers: dict[str, list[str]] = {}
    for character in catalog.characters:
        if character.model and Path(character.model).name != catalog.engine_name:
            strangers.setdefault(character.model, []).append(character.id)
    for model, names in strangers.items():
        logger.warning(
            "made for the engine %s, but speaking through %s: %s",
            model,
            catalog.engine_name,
            ", ".join(names),
        )


def tell_of_little_room(catalog: Catalog, engine: EnginePort) -> None:
    """Warn of personas that leave no room for a reply in the KV budget or the context."""
    info = engine.info
    budget = min(info.num_blocks * info.block_size, info.max_model_len)
    for character in catalog.characters:
        persona = [ChatMessage("system", read_persona(character).head)]
        num_tokens = len(engine.tokenizer.encode_chat(persona))
        reply = character.max_output_tokens or MAX_REPLY_RESERVE
        if num_tokens + reply > budget:
            logger.warning(
                "%s: the persona takes %d tokens and a reply up to %d, but only %d fit; shorten "
                "the persona, or raise --kv-cache-tokens or --max-model-len",
                character.id,
                num_tokens,
                reply,
                budget,
            )
