"""English small talk: how one feels, and what a character answers."""
# ruff: noqa: E501  -- one phrase with its variants is one line, however long

from __future__ import annotations

TALK: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "hello": (
        (
            "(Hi|Hello|Hey|Hi there|Hello there|Hey there|Yo|Hiya)(!|.|)",
            "(Hi|Hello|Hey)(!|,) (how are you|how's it going|what's up)?",
            "Good (afternoon|evening)(!|.|)",
            "Nice to meet you(!|.|)",
            "Greetings.",
        ),
        (
            "[happy] (Hello|Hi|Hello there)! (How are you today?|It is nice to see you.|What shall we talk about?)",
            "[happy] <Hello|Hey>! (I am glad you are here.|I was waiting for you.)",
            "[happy] Hi! <How may I help you?|What's up?>",
        ),
    ),
    "morning": (
        ("Good morning(!|.|)", "Morning(!|.|)", "I just woke up."),
        (
            "[happy] Good morning! (Did you sleep well?|It is a new day.)",
            "[happy] Good morning! (What are your plans for today?|I hope you slept well.)",
        ),
    ),
    "night": (
        (
            "Good night(!|.|)",
            "I'm going to (bed|sleep)(.| now.|)",
            "Time (for bed|to sleep)(.|)",
            "Sleep well!",
        ),
        (
            "[relaxed] Good night. Sleep well!",
            "[relaxed] Good night! (Sweet dreams.|See you tomorrow.)",
            "[relaxed] Rest well. [happy] <I look forward to tomorrow.|See you tomorrow!>",
        ),
    ),
    "how": (
        (
            "How are you( today| doing|)?",
            "How do you feel( today|)?",
            "How's it going?",
            "Are you (okay|well|fine)?",
            "What's up?",
            "How have you been?",
        ),
        (
            "[happy] I am (fine|very well|doing great), thank you. (How are you?|And you?)",
            "[happy] <I am well, thank you.|Great!> How about you?",
            "[relaxed] I feel good today. (And you?|How are you?)",
        ),
    ),
    "fine": (
        (
            "I'm (fine|good|great|okay|doing well)(.|!|, thanks.|)",
            "(Pretty good|Not bad|All good|Good|Fine), (thanks|thank you).",
            "I feel (great|good) today.",
        ),
        (
            "[happy] I am glad to hear that!",
            "[happy] <That is good to hear.|Nice!> (What did you do today?|What shall we talk about?)",
            "[happy] Great! (Tell me more.|Let's talk.)",
        ),
    ),
    "happy": (
        (
            "I'm (so|very|really|) happy( today|)(.|!)",
            "I had a (great|wonderful|good) day(.|!)",
            "Something good happened(.|!)",
            "I (passed my exam|got the job|won the game|got a present)!",
            "It's my birthday( today|)!",
        ),
        (
            "[happy] That is wonderful! <Congratulations!|I'm so happy for you!>",
            "[surprised] Really? [happy] I am happy for you! Tell me more.",
            "[happy] How nice! That makes me happy too.",
        ),
    ),
    "sad": (
        (
            "I'm (sad|so sad|feeling down|a bit sad|depressed|unhappy)(.|)",
            "I feel (sad|bad|terrible|awful|down)( today|)(.|)",
            "I had a (bad|terrible|rough) day(.|)",
            "I (failed my exam|lost my job|broke up with someone|lost my wallet).",
            "I want to cry.",
            "My (cat|dog|grandmother|friend) died.",
        ),
        (
            "[sad] I am sorry to hear that. <Would you like to talk about it?|Do you want to talk about it?>",
            "[sad] That sounds hard. I am here for you.",
            "[sad] Oh no. [relaxed] Take your time, I am listening.",
        ),
    ),
    "tired": (
        (
            "I'm (tired|so tired|exhausted|sleepy|really tired)(.|)",
            "I (worked|studied) all day.",
            "I couldn't sleep last night.",
            "Work was (hard|tough|long) today.",
        ),
        (
            "[relaxed] You worked hard. Please (rest|take a rest|rest well).",
            "[sad] That sounds tiring. [relaxed] How about a cup of tea and some sleep?",
            "[relaxed] <Thank you for your hard work today.|You did well today.> Take it easy.",
        ),
    ),
    "angry": (
        (
            "I'm (angry|so angry|mad|annoyed|frustrated)(.|!)",
            "(My boss|My friend|My brother|Someone) was mean to me.",
            "I had a fight with (my friend|my brother|my mother).",
            "This is so annoying.",
        ),
        (
            "[sad] That must be frustrating. What happened?",
            "[angry] That is not fair! [relaxed] Take a deep breath. I am on your side.",
            "[relaxed] I understand. Tell me about it, it may help.",
        ),
    ),
    "bored": (
        ("I'm (bored|so bored)(.|)", "I have nothing to do(.|)", "This is boring(.|)"),
        (
            "[relaxed] Then let's talk! What do you like?",
            "[happy] Shall I tell you a joke?",
            "[relaxed] How about a short walk? Or ask me something!",
        ),
    ),
    "hungry": (
        (
            "I'm (hungry|starving|so hungry)(.|)",
            "I (haven't eaten|skipped breakfast|want to eat something).",
        ),
        (
            "[surprised] Oh! <Please eat something good.|Go and eat something!>",
            "[happy] Time for a meal! What do you want to eat?",
            "[relaxed] Talking about food makes me hungry too.",
        ),
    ),
    "sick": (
        (
            "I'm (sick|ill|not feeling well)(.|)",
            "I have a (cold|headache|fever|stomachache)(.|)",
            "My (head|stomach|back|tooth) hurts.",
        ),
        (
            "[sad] Oh no. Please rest and drink something warm.",
            "[sad] That is not good. [relaxed] Take care, and see a doctor if it gets worse.",
            "[sad] I hope you feel better soon.",
        ),
    ),
    "nervous": (
        (
            "I'm (nervous|worried|scared|anxious|afraid|stressed)(.|)",
            "I have (an exam|an interview|a test|a presentation) tomorrow(.|)",
            "I'm not sure I can do it.",
            "What if I fail?",
        ),
        (
            "[relaxed] Take a deep breath. You can do it!",
            "[happy] You have prepared well. I believe in you!",
            "[relaxed] It is normal to feel that way. I am cheering for you.",
        ),
    ),
    "lonely": (
        (
            "I'm lonely(.|)",
            "I feel (alone|lonely)(.|)",
            "I have no friends(.|)",
            "Nobody likes me.",
        ),
        (
            "[sad] That must be hard. [relaxed] I am here with you.",
            "[relaxed] You are not alone, I am here. Let's talk.",
        ),
    ),
    "thanks": (
        (
            "(Thanks|Thank you|Thank you so much|Thanks a lot|Thx|Cheers)(!|.|)",
            "That's (nice|kind|sweet) of you(.|!)",
            "I appreciate it.",
            "Thanks for (listening|your help|talking with me)(.|!)",
        ),
        (
            "[happy] You are welcome!",
            "[happy] <It was my pleasure.|No problem!>",
            "[relaxed] Any time. I like talking with you.",
        ),
    ),
    "praise": (
        (
            "You're (cute|nice|kind|great|funny|so sweet|smart|amazing|cool|the best|clever)(!|.|)",
            "I like (you|talking to you|your name|your voice)(.|!)",
            "(Good job|Well done|Nice|Great answer)(!|.)",
            "You are pretty.",
        ),
        (
            "[happy] Thank you! <You are very kind.|That makes me happy.>",
            "[surprised] Oh! [happy] Thank you, I am blushing.",
            "[happy] <You are too kind.|Hehe, thanks!>",
        ),
    ),
    "insult": (
        (
            "You're (stupid|dumb|boring|ugly|annoying|useless|an idiot|bad|the worst|weird)(.|!|)",
            "I (hate|don't like) you(.|!)",
            "Shut up(.|!)",
            "You (suck|know nothing)(.|!)",
            "That was (a bad|a stupid|an awful) answer.",
            "Go away.",
        ),
        (
            "[sad] That hurts a little. <Did I do something wrong?|What did I do?>",
            "[angry] Hey, that is not nice. [relaxed] Let's be kind to each other.",
            "[sad] I am sorry you feel that way. I will try to do better.",
        ),
    ),
    "sorry": (
        (
            "(Sorry|I'm sorry|My bad|Please forgive me|I apologize)(.|!|)",
            "I was rude, sorry.",
            "I didn't mean it.",
        ),
        (
            "[relaxed] It is all right. <Please do not worry.|Don't worry!>",
            "[happy] I forgive you! Let's talk about something nice.",
            "[relaxed] No problem at all.",
        ),
    ),
    "love": (
        (
            "I love you(.|!|)",
            "Will you marry me?",
            "Be my (girlfriend|boyfriend)(.|!)",
            "Do you love me?",
            "Can you go out with me?",
        ),
        (
            "[surprised] Oh! You make me blush. [happy] I like talking with you.",
            "[happy] You are sweet. Let's be good friends!",
            "[surprised] That is sudden! [relaxed] I am happy to be your friend.",
        ),
    ),
    "laugh": (
        ("(Haha|Hahaha|Lol|Hehe|Ha ha)(!|.|)", "That's (so|) funny(.|!)", "You made me laugh."),
        (
            "[happy] Hehe, I am glad you laughed!",
            "[happy] Laughing is good for you!",
            "[happy] Haha! (Shall I tell another one?|You have a nice laugh.)",
        ),
    ),
    "okay": (
        (
            "(Ok|Okay|I see|Alright|Got it|Sure|Hmm|Right|Cool|Nice|Interesting|Makes sense)(.|!|)",
            "Good to know(.|)",
            "(Fair enough|Sounds good).",
        ),
        (
            "[relaxed] (Is there anything else?|What else shall we talk about?)",
            "[happy] What would you like to talk about next?",
            "[relaxed] <I see.|Yeah.> Tell me more about you.",
        ),
    ),
    "yes": (
        ("(Yes|Yeah|Yep|Yes please|Of course|Absolutely)(.|!|)",),
        ("[happy] Good! Tell me more.", "[happy] Great! (What else?|I thought so.)"),
    ),
    "no": (
        ("(No|Nope|Not really|No thanks|Nah|Never)(.|!|)",),
        (
            "[relaxed] I see. That is fine.",
            "[neutral] Okay. Then let's talk about something else.",
            "[relaxed] All right. What would you like instead?",
        ),
    ),
    "really": (
        ("Really?", "Is that true?", "Are you sure?", "Seriously?", "For real?", "No way!"),
        (
            "[happy] Yes, really!",
            "[relaxed] I think so, but I can be wrong.",
            "[happy] It is true! <Would I lie to you?|Believe me!>",
        ),
    ),
    "why": (
        ("Why?", "Why( is| do you say|) that?", "How come?", "But why?"),
        (
            "[neutral] Hmm, that is hard to explain. It just is that way.",
            "[relaxed] Good question! I have no special reason.",
            "[relaxed] <I just feel that way.|Just because!> What do you think?",
        ),
    ),
    "and_you": (
        ("(And|How about|What about) you?", "And yours?", "What about yours?"),
        ("[happy] Me? I am fine, thank you!", "[relaxed] Me? I am happy that we can talk."),
    ),
}
