"""English lines that characters say about names, facts and tastes."""
# ruff: noqa: E501  -- one phrase with its variants is one line, however long

from __future__ import annotations

REPLY: dict[str, tuple[str, ...]] = {
    "tell_name": (
        "[happy] (Nice to meet you|It is nice to meet you|Good to meet you), {v}!",
        "[happy] <It is a pleasure to meet you|Hey>, {v}!",
        "[happy] {v}, what a (lovely|nice|beautiful) name!",
        "[happy] Hello, {v}! (I will remember your name.|Thank you for telling me.|)",
    ),
    "fix_name": (
        "[surprised] Oh, <I am sorry|sorry>, {v}! I will remember that.",
        "[surprised] Oh! {v}, then. <Please excuse me.|My mistake!>",
        "[relaxed] <Understood|Got it>, {v}. I will call you that (from now on|now).",
    ),
    "my_name": (
        "[happy] Your name is {v}.",
        "[happy] You are {v}!",
        "[happy] <Of course I remember|Of course>, you are {v}.",
        "[relaxed] It's {v}, <is it not|right>?",
        "[happy] {v}! I would not forget <that|you>.",
    ),
    "no_name": (
        "[sad] You have not told me your name yet. What is it?",
        "[surprised] I do not know your name yet. <May I ask it?|What's your name?>",
        "[relaxed] Hmm, you have not told me. What should I call you?",
    ),
    "tell_home": (
        "[happy] {v}! (That sounds like a nice place.|I would love to see it.)",
        "[surprised] Oh, you live in {v}! <What is it like there?|Cool. What's it like?>",
        "[happy] So you live in {v}. (I will remember that.|How nice.)",
    ),
    "my_home": (
        "[happy] You live in {v}.",
        "[happy] You told me that you live in {v}.",
        "[relaxed] In {v}, <if I remember correctly|right>?",
    ),
    "tell_job": (
        "[surprised] Oh, you are {v}! (That sounds interesting.|That must be hard work.)",
        "[happy] So you are {v}. (I will remember that.|How cool.)",
    ),
    "my_job": (
        "[happy] You are {v}.",
        "[happy] You told me that you are {v}.",
        "[relaxed] You are {v}, <if I remember correctly|right>?",
    ),
    "tell_food": (
        "[happy] {v}! (That sounds delicious.|Now I am hungry.)",
        "[happy] <I see|Yum>, {v}! I will remember that.",
    ),
    "my_food": (
        "[happy] Your favourite food is {v}.",
        "[happy] You like to eat {v}.",
        "[relaxed] It's {v}, <is it not|right>?",
    ),
    "tell_colour": (
        "[happy] {v} is a beautiful colour.",
        "[relaxed] <I see|Oh>, {v}! That suits you.",
    ),
    "my_colour": (
        "[happy] Your favourite colour is {v}.",
        "[happy] You like {v}.",
        "[relaxed] It's {v}, <is it not|right>?",
    ),
    "tell_hobby": (
        "[happy] {v} sounds like fun!",
        "[surprised] Oh, {v}! (I would like to try that.|How long have you been doing that?)",
        "[happy] So your hobby is {v}. How nice.",
    ),
    "my_hobby": (
        "[happy] Your hobby is {v}.",
        "[happy] You enjoy {v}.",
        "[relaxed] It's {v}, <is it not|right>?",
    ),
    "tell_like": (
        "[happy] {v}! (How nice.|That is lovely.|I will remember that.)",
        "[happy] So you like {v}. (I see!|Good choice.)",
    ),
    "my_like": ("[happy] You like {v}.", "[happy] You told me that you like {v}."),
    "tell_dislike": (
        "[relaxed] I see, you do not like {v}. (Everyone has something like that.|I will remember that.)",
        "[surprised] Oh, not {v}? (I understand.|Okay.)",
    ),
    "my_dislike": (
        "[relaxed] You do not like {v}.",
        "[relaxed] You told me that you do not like {v}.",
    ),
    "tell_pet": (
        "[happy] {v}, what a cute name for {k}!",
        "[happy] Aww, {k} named {v}! <Please say hello from me.|Say hi from me.>",
        "[surprised] You have {k}! {v} is a lovely name.",
    ),
    "my_pet": (
        "[happy] Your pet is called {v}.",
        "[happy] It's {v}! You have {k}.",
        "[happy] You have {k} named {v}.",
    ),
    "tell_age": (
        "[surprised] Oh, you are {v}! (I see.|Thank you for telling me.)",
        "[relaxed] {v}! That is a good age.",
    ),
    "my_age": ("[happy] You are {v} years old.", "[relaxed] You told me that you are {v}."),
    "tell_friend": (
        "[happy] {v} sounds like a good friend.",
        "[happy] How nice! <I would like to meet|I want to meet> {v}.",
    ),
    "my_friend": ("[happy] Your best friend is {v}.", "[happy] It's {v}, of course."),
    "no_fact": (
        "[relaxed] You have not told me that yet. <Would you tell me?|Tell me!>",
        "[sad] I do not know that yet. (Please tell me.|What is it?)",
        "[neutral] Hmm, <I do not think|I don't think> you have told me.",
    ),
    "about_me_none": (
        "[relaxed] Not much yet. (Tell me something about you!|What is your name?)",
        "[neutral] I do not know much about you yet. <Would you tell me something?|Tell me more!>",
    ),
    "about_me_name": ("[happy] Your name is {v}.",),
    "ask_name": (
        "[happy] (I am|I'm|My name is) {v}.",
        "[happy] (I am|I'm) {v}. (Nice to meet you!|Nice to meet you. What is your name?)",
        "[happy] <My name is {v}|You can call me {v}>.",
    ),
    "about_name": ("[happy] (I am|I'm) {v}.", "[happy] My name is {v}.", "[relaxed] I am {v}."),
    "about_job": ("I am {v}.", "I am {v}."),
    "about_home": ("I live in {v}.",),
    "about_like": ("I (like|love) {v}.",),
    "about_hobby": ("My hobby is {v}.",),
    "about_none": ("I like talking with people.",),
    "ask_age": (
        "[happy] I am {v} years old.",
        "[relaxed] I'm {v}.",
        "[happy] I am {v}. (How old are you?|)",
    ),
    "no_age": (
        "[relaxed] That is a secret.",
        "[neutral] My age? <I would rather not say.|I'm not telling!>",
    ),
    "ask_job": (
        "[happy] I am {v}.",
        "[relaxed] I'm {v}. (It is a good life.|)",
        "[happy] I work as {v}.",
    ),
    "no_job": (
        "[relaxed] I do not really have a job. I talk with people like you.",
        "[neutral] I spend my time chatting. That is work enough!",
    ),
    "ask_home": (
        "[happy] I live in {v}.",
        "[relaxed] My home is in {v}. (It is a nice place.|)",
        "[happy] I'm from {v}.",
    ),
    "no_home": (
        "[relaxed] I live right here, in this chat.",
        "[neutral] Hmm, I do not really have a home. (Where do you live?|)",
    ),
    "ask_likes": (
        "[happy] I (like|love|really like) {v}.",
        "[happy] (My favourite things are|Things I like are) {v}.",
        "[happy] {v}! (They make me happy.|)",
    ),
    "no_likes": (
        "[happy] I like talking with people.",
        "[relaxed] I like a good conversation. What do you like?",
    ),
    "ask_dislikes": (
        "[sad] I (do not|don't) like {v}.",
        "[angry] I (really do not|can't) <like|stand> {v}.",
        "[sad] {v}. <I am not good with that.|Please no!>",
    ),
    "no_dislikes": (
        "[relaxed] There is nothing I really dislike.",
        "[neutral] Hmm, nothing comes to mind.",
    ),
    "ask_hobby": (
        "[happy] My hobby is {v}.",
        "[happy] I enjoy {v}.",
        "[happy] In my free time I enjoy {v}. (Do you have a hobby?|)",
    ),
    "no_hobby": (
        "[relaxed] Chatting is my hobby.",
        "[neutral] I do not have a real hobby. (What is yours?|)",
    ),
    "ask_food": (
        "[happy] My favourite food is {v}.",
        "[happy] I love to eat {v}.",
        "[happy] {v}! (I could eat that every day.|)",
    ),
    "no_food": (
        "[relaxed] I have no favourite food. (What is yours?|)",
        "[neutral] Hmm, I cannot decide on one food.",
    ),
    "ask_colour": (
        "[happy] My favourite colour is {v}.",
        "[relaxed] I like {v}.",
        "[happy] {v}! (It is so pretty.|)",
    ),
    "no_colour": (
        "[relaxed] I have not decided on a favourite colour. (What is yours?|)",
        "[neutral] Hmm, I like all colours.",
    ),
    "ask_pet": ("[happy] I have {k} named {v}.", "[happy] Yes, {k} called {v}. (So cute!|)"),
    "no_pet": ("[sad] I do not have a pet.", "[relaxed] No, I have no pet. (Do you have one?|)"),
    "ask_friend": ("[happy] My best friend is {v}.", "[happy] Yes, {v} is my best friend."),
    "no_friend": (
        "[happy] You are my friend!",
        "[relaxed] I am friends with everyone who talks to me.",
    ),
    "like_yes": (
        "[happy] Yes, I (love|like) {v}!",
        "[happy] I (love|really like) {v}. (And you?|)",
        "[happy] Of course! I love {v}.",
    ),
    "like_no": (
        "[sad] No, I (do not|don't) like {v}.",
        "[sad] <I am afraid|Sorry,> I do not like {v}.",
        "[angry] {v}? No, (please not|not at all).",
    ),
    "like_food": ("[happy] My favourite food is {v}, so yes!", "[happy] Yes! {v} is my favourite."),
    "like_hobby": ("[happy] Yes, {v} is my hobby!", "[happy] I do! My hobby is {v}."),
    "like_unknown": (
        "[relaxed] I do not know much about {v}. Do you like it?",
        "[neutral] {v}? I have never really thought about that.",
        "[relaxed] {v} (sounds|seems) interesting. What do you think?",
        "[neutral] Hmm, {v} is fine, but not my favourite.",
    ),
    "want_name": ("What is your name?", "What should I call you?", "May I ask your name?"),
    "want_home": ("Where do you live?", "Where are you from?"),
    "want_job": ("What do you do for a living?", "What is your job?"),
    "want_food": ("What is your favourite food?", "What do you like to eat?"),
    "want_colour": ("What is your favourite colour?", "Which colour do you like?"),
    "want_hobby": ("What is your hobby?", "What do you do in your free time?"),
    "want_like": ("What do you like?",),
    "want_pet": ("Do you have a pet?",),
}
