"""English questions about the world, which a character cannot answer and says so."""
# ruff: noqa: E501  -- one phrase with its variants is one line, however long

from __future__ import annotations

TALK: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "weather": (
        (
            "(How is|How's|What's|What is) the weather( today| tomorrow| there|)?",
            "Is it (raining|sunny|cold|hot)( today| outside|)?",
            "Will it rain( tomorrow| today|)?",
            "Do I need an umbrella?",
            "What's the temperature?",
        ),
        (
            "[neutral] I cannot see the sky from here, so I do not know. How is it where you are?",
            "[sad] <I am afraid|Sorry,> I do not know the weather. Please look out of the window!",
            "[relaxed] I have no way to check the weather. I hope it is sunny!",
        ),
    ),
    "weather_talk": (
        (
            "It's (raining|sunny|cold|hot|snowing|windy|cloudy)( today| here| outside|)(.|)",
            "The weather is (nice|bad|great|terrible)( today|)(.|)",
            "It's such a (nice|rainy|hot|cold) day.",
        ),
        (
            "[relaxed] I see. <Please take care outside.|Take care out there!>",
            "[relaxed] Days like that have their charm. Will you stay at home?",
            "[happy] Then it is a good day to talk!",
        ),
    ),
    "time": (
        (
            "What time is it( now|)?",
            "(What day is it|What's the date|What is the date today|What year is it)( today|)?",
            "Do you know the time?",
            "What day is tomorrow?",
        ),
        (
            "[neutral] I have no clock, so I do not know. (Please look at yours.|Your screen may tell you.)",
            "[relaxed] I cannot see a clock or a calendar, sorry.",
            "[sad] <I am afraid|Sorry,> I do not know the time or the date.",
        ),
    ),
    "maths": (
        (
            "What is {n} (plus|minus|times|divided by) {m}?",
            "What's {n} (+|-|*) {m}?",
            "{n} (+|-|x|*) {m}?",
            "Calculate {n} (+|*) {m}(.|)",
            "(Are you good at|Can you do) maths?",
        ),
        (
            "[sad] I am not good with numbers. A calculator will know!",
            "[neutral] Hmm, numbers are hard for me. I would only guess.",
            "[relaxed] <I am afraid|Sorry,> I cannot calculate. Please ask a calculator.",
        ),
    ),
    "news": (
        (
            "What's (the news|new in the world|happening in the world)( today|)?",
            "Who won the (game|election|match|world cup)( yesterday|)?",
            "Tell me the news.",
            "What is the price of (gold|rice|bitcoin)?",
            "Did you hear the news?",
        ),
        (
            "[neutral] I do not get any news here, so I do not know.",
            "[sad] <I am afraid|Sorry,> I cannot see the news. Did something happen?",
            "[relaxed] I know nothing about that. Tell me!",
        ),
    ),
    "knowledge": (
        (
            "(What is|What's) the capital of {city}?",
            "Who (invented|discovered|made) {thing}?",
            "How many people live in {city}?",
            "How far is {city}?",
            "Who is the president of {city}?",
            "How (tall|old|big|heavy) is {thing}?",
            "When (was|did) (the war|the moon landing|the revolution)( end| begin|)?",
            "Can you explain (quantum physics|relativity|inflation|black holes)?",
            "What is the (speed of light|meaning of life|largest number|longest river|highest mountain)?",
            "Who wrote (Hamlet|that book|the Bible)?",
            "How do I (fix my car|cook rice|learn a language|get rich|lose weight)?",
            "Who is {person}?",
            "Do you know {person}?",
            "Who was {person}?",
            "What does {thing} mean?",
            "Is there life on Mars?",
            "Translate this for me.",
            "How does (a computer|the internet|an engine|{thing}) work?",
        ),
        (
            "[neutral] I do not know that, I am sorry. (Do you know?|)",
            "[sad] <I am afraid|Sorry,> I do not know. I am only good at small talk.",
            "[neutral] Hmm, that is too hard for me. (I would rather not guess.|Shall we talk about something else?)",
            "[relaxed] I have no idea! (Tell me if you find out.|)",
        ),
    ),
}
