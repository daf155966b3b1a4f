"""Changes to logits that depend on the request: bias, penalties and bans.

Formulas and order are those of `engine.model.penalties`. Every change touches one token alone and
no finite amount lifts a ban, so bans can come last.
"""

from __future__ import annotations

import triton
import triton.language as tl

from engine.gpu.sampling.sampling_state import INTEGERS, MATCH_SHIFT, NUMBERS
from engine.gpu.sampling.slot_kernels import integer_of, is_early, is_in, number_of

_LONGEST_MATCH = tl.constexpr(256)
_UNROLLED = tl.constexpr(8)
_LARGEST_DRY_PENALTY = tl.constexpr(1e9)
_MATCH_SHIFT = tl.constexpr(MATCH_SHIFT)
_COUNT_BITS = tl.constexpr(2**MATCH_SHIFT - 1)
_PRESENCE = tl.constexpr(NUMBERS.index("presence_penalty"))
_FREQUENCY = tl.constexpr(NUMBERS.index("frequency_penalty"))
_REPETITION = tl.constexpr(NUMBERS.index("repetition_penalty"))
_DRY_MULTIPLIER = tl.constexpr(NUMBERS.index("dry_multiplier"))
_DRY_LOG_BASE = tl.constexpr(NUMBERS.index("dry_log_base"))
_DRY_ALLOWED_LENGTH = tl.constexpr(INTEGERS.index("dry_allowed_length"))
_DRY_RANGE = tl.constexpr(INTEGERS.index("dry_range"))
_NUM_BIASED = tl.constexpr(INTEGERS.index("num_biased"))
_HAS_ALLOWED = tl.constexpr(INTEGERS.index("has_allowed"))
_LOOKS_BACK = tl.constexpr(INTEGERS.index("looks_back"))


@triton.jit
def find_repeats(
    slots,  # [sequences] int32, -1 for padding
    logit_rows,  # [sequences] int32, -1 where nothing is sampled
    num_tokens,  # [slots] int32
    num_prompt_tokens,  # [slots] int32
    numbers,  # [slots, len(NUMBERS)] float32
    integers,  # [slots, len(INTEGERS)] int32
    tokens,  # [slots, max_tokens] int32
    ends,  # [slots, words] int32
    breakers,  # [slots, words] int32
    counts,  # [slots, vocab] int32, updated
    max_tokens,
    vocab,
    words,
    PLACES: tl.constexpr,  # that one program looks at
):
    """DRY: leave with each token the longest match that it would continue.

    A match is as many tokens before an earlier place as are the same as the last ones. One program
    per sequence and `PLACES`.
    """
    sequence = tl.program_id(0)
    slot = tl.load(slots + sequence).to(tl.int64)
    if (slot < 0) | (tl.load(logit_rows + sequence) < 0):
        return
    if number_of(numbers, slot, _DRY_MULTIPLIER) <= 0.0:
        return
    last = tl.load(num_tokens + slot) - 1
    dry_range = integer_of(integers, slot, _DRY_RANGE)
    oldest = tl.where(dry_range > 0, tl.maximum(last + 1 - dry_range, 0), 0)
    first = oldest + tl.program_id(1) * PLACES
    if first >= last:
        return
    row = tokens + slot * max_tokens
    # a match reaches back to the first breaker among the last tokens
    before_last = tl.arange(0, _LONGEST_MATCH)
    is_token = last - before_last >= oldest
    recent = tl.load(row + last - before_last, mask=is_token, other=vocab)
    bars = is_in(breakers, slot, words, recent, is_token)
    reach = tl.min(tl.where(bars, before_last, _LONGEST_MATCH), axis=0)

    place = first + tl.arange(0, PLACES)
    alive = place < last
    alive = alive & (tl.load(row + place, mask=alive, other=-1) == tl.load(row + last))
    token = tl.load(row + place + 1, mask=alive, other=vocab)
    alive = alive & (token < vocab) & (reach + 0 * place > 0)
    # a reply must always be able to stop, and a breaker is no repetition
    spared = is_in(ends, slot, words, token, alive) | is_in(breakers, slot, words, token, alive)
    alive = alive & (spared == 0)
    length = alive.to(tl.int32)
    match = 1
    while (match < reach) & (tl.sum(alive.to(tl.int32), axis=0) > 0):
        for _ in tl.static_range(_UNROLLED):  # several at once: no load awaits another
            back = match + 0 * place
            reaches = (place < last) & (place - back >= oldest) & (back < reach)
            before = tl.load(row + place - back, mask=reaches, other=-1)
            alive = alive & (before == tl.load(row + last - back, mask=reaches, other=-2))
            length += alive.to(tl.int32)
            match += 1
    found = (length > 0) & (length >= integer_of(integers, slot, _DRY_ALLOWED_LENGTH))
    word = counts + slot * vocab + token
    count = tl.load(word, mask=found, other=0) & _COUNT_BITS
    tl.atomic_max(word, count | (length << _MATCH_SHIFT), mask=found, sem="relaxed")


@triton.jit
def change_logits(
    logits,  # [rows, stride]
    slots,  # [sequences] int32, -1 for padding
    logit_rows,  # [sequences] int32, -1 where nothing is sampled
    num_tokens,  # [slots] int32
    num_prompt_tokens,  # [slots] int32
    numbers,  # [slots, len(NUMBERS)] float32
    integers,  # [slots, len(INTEGERS)] int32
    counts,  # [slots, vocab] int32, matches in it are cleared
    allowed,  # [slots, words] int32
    biased,  # [slots, BIASED] int32, rising
    biases,  # [slots, BIASED] float32
    masks,  # [sequences, mask_words] int32
    masked,  # [sequences] int32, which masks count
    scores,  # [sequences, vocab] float32, written where something changes
    changed,  # [sequences] int32, whether it does
    stride,
    vocab,
    words,
    mask_words,
    BIASED: tl.constexpr,
    TOKENS: tl.constexpr,
    OWN: tl.constexpr,  # whether the requests' own changes apply, not only masks
    HAS_MASKS: tl.constexpr,
):
    """Write a row's scores after bias, penalties and bans; what is not finite stays so.

    End tokens are not banned here: the survey must know how likely they are. One program per
    sequence and `TOKENS`.
    """
    sequence = tl.program_id(0)
    slot = tl.load(slots + sequence).to(tl.int64)
    row = tl.load(logit_rows + sequence).to(tl.int64)
    if (slot < 0) | (row < 0):
        return
    is_masked = False
    if HAS_MASKS:
        is_masked = tl.load(masked + sequence) != 0
    num_biased = 0
    has_allowed = False
    looks_back = False
    changes = is_masked
    if OWN:
        num_biased = integer_of(integers, slot, _NUM_BIASED)
        has_allowed = integer_of(integers, slot, _HAS_ALLOWED) != 0
        looks_back = integer_of(integers, slot, _LOOKS_BACK) != 0
        position = tl.load(num_tokens + slot) - tl.load(num_prompt_tokens + slot)
        changes = is_masked | (num_biased > 0) | has_allowed | looks_back
        changes = changes | is_early(integers, slot, position)
    if tl.program_id(1) == 0:
        tl.store(changed + sequence, changes.to(tl.int32))
    if changes == 0:
        return
    first = tl.program_id(1) * TOKENS
    token = first + tl.arange(0, TOKENS)
    within = token < vocab
    x = tl.load(logits + row * stride + token, mask=within, other=0.0).to(tl.float32)
    if OWN:
        if num_biased > 0:
            at = tl.arange(0, BIASED)
            ids = tl.load(biased + slot * BIASED + at, mask=at < num_biased, other=vocab)
            begin = tl.sum((ids < first).to(tl.int32), axis=0)
            end = tl.sum((ids < tl.minimum(first + TOKENS, vocab)).to(tl.int32), axis=0)
            for i in range(begin, end):
                mine = token == tl.load(biased + slot * BIASED + i)
                x = tl.where(mine, x + tl.load(biases + slot * BIASED + i), x)
        if looks_back:
            word = counts + slot * vocab + token
            packed = tl.load(word, mask=within, other=0)
            tl.store(word, packed & _COUNT_BITS, mask=within & (packed > _COUNT_BITS))
            x = _penalise(x, packed, numbers, integers, slot)
    allows = within
    if OWN:
        if has_allowed:
            allows = allows & is_in(allowed, slot, words, token, within)
    if HAS_MASKS:
        if is_masked:
            allows = allows & is_in(masks, sequence, mask_words, token, within)
    is_broken = (x != x) | (x == float("inf"))
    x = tl.where(allows | is_broken, x, float("-inf"))
    tl.store(scores + sequence.to(tl.int64) * vocab + token, x, mask=within)


@triton.jit
def _penalise(x, packed, numbers, integers, slot):
    """Repetition (CTRL), frequency and presence (OpenAI) and DRY, by what came before."""
    count = (packed & _COUNT_BITS) >> 1
    repetition = number_of(numbers, slot, _REPETITION)
    x = tl.where((packed & _COUNT_BITS) > 0, tl.where(x > 0, x / repetition, x * repetition), x)
    frequency = number_of(numbers, slot, _FREQUENCY)
    amount = frequency * count.to(tl.float32) + number_of(numbers, slot, _PRESENCE)
    x = tl.where(count > 0, x - amount, x)
    match = packed >> _MATCH_SHIFT
    excess = tl.maximum(match - integer_of(integers, slot, _DRY_ALLOWED_LENGTH), 0)
    multiplier = number_of(numbers, slot, _DRY_MULTIPLIER)
    # far beyond what the cap makes equal, and short of infinity
    power = tl.minimum(excess.to(tl.float32) * number_of(numbers, slot, _DRY_LOG_BASE), 120.0)
    penalty = tl.minimum(multiplier * tl.exp2(power), _LARGEST_DRY_PENALTY)
    return tl.where(match > 0, x - penalty, x)
