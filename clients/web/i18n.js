// The interface's words, in English and Japanese.

const WORDS = {
  en: {
    title: "Kaiwa 会話",
    skip: "Skip to the message box",
    chat: "Chat",
    engine: "Engine",
    views: "Views",
    language: "日本語に切り替える",
    theme: "Theme: {mode}",
    theme_auto: "automatic",
    theme_light: "light",
    theme_dark: "dark",
    characters: "Characters",
    new_chat: "New conversation",
    messages: "Conversation",
    placeholder: "Say something to {name}…",
    message_label: "Message",
    send: "Send",
    stop: "Stop the reply",
    latest: "Latest",
    hint: "Enter sends · Shift+Enter for a new line · Esc stops",
    you: "You",
    said: "{name}: {text}",
    typing: "{name} is thinking",
    looks: "{name} looks {feeling}",
    stopped_empty: "(stopped before a word)",
    cancelled: "stopped",
    interrupted: "interrupted",
    cut: "reached the length limit",
    failed: "could not finish",
    unheard: "you spoke before the rest",
    ttft: "first word {ms} ms",
    tps: "{n} tokens/s",
    state_connecting: "Connecting…",
    state_ready: "Connected",
    state_waiting: "Reconnecting…",
    state_stopped: "Disconnected",
    state_key: "Key needed",
    state_taken: "Elsewhere",
    state_recovering: "Engine restarting…",
    in_seconds: "in {s} s",
    retry: "Try again",
    take_back: "Go on here",
    news_recovering: "The engine is being restarted. Replies go on by themselves in a moment.",
    news_leaving: "The server is being restarted. This page comes back by itself; what you write now is answered then.",
    news_expiring: "This session has reached its longest time and is renewed in {s} s. Your conversation stays.",
    recorded_none: "This conversation is recorded: lengths and times, none of its words.",
    recorded_redacted: "This conversation is recorded, with other letters in place of what you write.",
    recorded_full: "This conversation is recorded, with every word that you write.",
    close_4409: "This conversation goes on in another window. You can fetch it back here.",
    close_4429: "More came from here than the server takes, so it hung up. Please wait a moment, then try again.",
    close_4400: "The server could not read what this page sent. Reload the page, then try again.",
    close_policy: "The server closed the conversation: {reason}",
    close_other: "The server ended the connection (code {code}). {reason}",
    refused: "The server does not let this page in: {reason}",
    wait_many: "As many conversations are open as may be with this key or from this address. This page tries again by itself.",
    wait_full: "The server takes nobody new just now. This page tries again by itself.",
    load_failed: "The characters could not be loaded.",
    no_characters: "This server has no characters yet.",
    error_generic: "That did not work: {message}",
    error_rate: "A little too fast. Please wait a moment and try again.",
    error_full: "The server is full just now. Please try again in a moment.",
    error_rate_for: "That was a little too fast. You can write again in {s} s.",
    error_full_for: "The server is full just now. You can write again in {s} s.",
    error_engine: "The engine failed over this reply. Please ask in other words.",
    wait_over: "You can write again now.",
    dismiss: "Dismiss",
    key_title: "This server asks for a key",
    key_body: "Enter your API key. It stays in this tab and is forgotten when you close it.",
    key_label: "API key",
    key_wrong: "The server did not accept that key.",
    key_ended: "Your key has expired or was taken away. Please enter another one.",
    key_scope: "That key opens no conversations. Please enter another one.",
    key_submit: "Continue",
    own_title: "You and the character",
    own_open: "Your name and more",
    own_name: "Your name",
    own_name_hint: "Characters call you by it.",
    own_first: "Speaks first",
    own_first_hint: "After a minute of silence the character says something by itself.",
    own_done: "Done",
    add_card: "Add card",
    add_card_label: "Add a character from a card file (PNG, JSON or CHARX)",
    drop_here: "Drop a character card here",
    drop_kinds: "PNG, JSON or CHARX",
    card_sending: "Reading {name}… {percent} %",
    card_added: "{name} is here.",
    card_refused: "{name} could not be used. {message}",
    card_kind: "{name} is not a character card. Cards are PNG, JSON or CHARX files.",
    card_lost: "The server did not answer.",
    other_greeting: "Another greeting",
    memory_summarised: "What {name} remembers of the beginning",
    memory_compacted: "{name} no longer reads the oldest turns.",
    memory_noted: "{name} remembers",
    memory_edit: "Edit",
    memory_save: "Save",
    memory_cancel: "Cancel",
    memory_label: "What the character remembers",
    memory_empty: "(nothing)",
    feel_happy: "happy",
    feel_sad: "sad",
    feel_angry: "angry",
    feel_relaxed: "relaxed",
    feel_surprised: "surprised",
    feel_neutral: "calm",
    live_title: "One step at a time",
    live_lead:
      "Every column is one engine step. Replies join and leave between two steps; nobody waits for a batch to fill.",
    live_running: "Running",
    live_waiting: "Waiting",
    live_kv: "KV blocks",
    live_tps: "Tokens / s",
    live_lanes: "The running batch",
    live_load: "Running and waiting, per step",
    live_memory: "KV memory",
    live_speed: "Tokens per second",
    legend_prefill: "reading the prompt",
    legend_decode: "one token",
    legend_join: "joins",
    legend_leave: "leaves",
    legend_running: "running",
    legend_waiting: "waiting",
    kv_used: "in use",
    kv_cached: "reusable",
    kv_free: "free",
    of: "of {n}",
    pause: "Pause",
    resume: "Resume",
    zoom_in: "Wider steps",
    zoom_out: "Narrower steps",
    live_state_connecting: "Connecting to the engine…",
    live_state_open: "Live",
    live_state_lost: "No signal, trying again…",
    live_state_paused: "Paused",
    live_idle: "The engine is resting. Start a conversation to see it move.",
    live_summary:
      "{running} running, {waiting} waiting, {used} of {total} KV blocks in use, {tps} tokens per second.",
    lanes_label: "Moving picture of the running batch: one lane per reply, one column per engine step.",
    load_label: "Running and waiting replies at each step.",
    memory_label: "KV memory blocks: in use, reusable and free.",
    speed_label: "Tokens per second over the last minute.",
    lasted: "peak {n}",
    minute: "last 60 s",
    idle_gap: "idle",
    step_ms: "{ms} ms per step",
  },
  ja: {
    title: "会話 Kaiwa",
    skip: "入力欄へ移動",
    chat: "会話",
    engine: "エンジン",
    views: "表示",
    language: "Switch to English",
    theme: "テーマ：{mode}",
    theme_auto: "自動",
    theme_light: "ライト",
    theme_dark: "ダーク",
    characters: "キャラクター",
    new_chat: "新しい会話",
    messages: "会話の内容",
    placeholder: "{name}に話しかける…",
    message_label: "メッセージ",
    send: "送信",
    stop: "返事を止める",
    latest: "最新へ",
    hint: "Enter で送信・Shift+Enter で改行・Esc で停止",
    you: "あなた",
    said: "{name}：{text}",
    typing: "{name}が考えています",
    looks: "{name}の表情：{feeling}",
    stopped_empty: "（話す前に停止）",
    cancelled: "停止",
    interrupted: "中断",
    cut: "長さの上限",
    failed: "最後まで話せませんでした",
    unheard: "続きは聞いていません",
    ttft: "最初の言葉まで {ms} ms",
    tps: "{n} トークン/秒",
    state_connecting: "接続中…",
    state_ready: "接続済み",
    state_waiting: "再接続中…",
    state_stopped: "切断",
    state_key: "キーが必要",
    state_taken: "別の画面",
    state_recovering: "エンジン再起動中…",
    in_seconds: "{s} 秒後",
    retry: "もう一度",
    take_back: "ここで続ける",
    news_recovering: "エンジンを再起動しています。返事はまもなく自動で続きます。",
    news_leaving: "サーバーが再起動します。自動でつなぎ直し、いま書いた言葉にはそのあとで返事が届きます。",
    news_expiring: "セッションの時間の上限が近づいたため、{s} 秒後につなぎ直します。会話はそのまま続きます。",
    recorded_none: "この会話は、長さと時刻だけが記録されています。言葉は残りません。",
    recorded_redacted: "この会話は、書いた言葉を別の文字に置き換えて記録されています。",
    recorded_full: "この会話は、書いた言葉も含めて記録されています。",
    close_4409: "この会話は別のウィンドウで続いています。ここに戻すこともできます。",
    close_4429: "送る量がサーバーの上限を超えたため、接続が切れました。少し待ってから、もう一度どうぞ。",
    close_4400: "このページの送った内容をサーバーが読めませんでした。ページを再読み込みしてから、もう一度どうぞ。",
    close_policy: "サーバーが会話を終了しました：{reason}",
    close_other: "サーバーが接続を終了しました（コード {code}）。{reason}",
    refused: "サーバーがこのページの接続を断りました：{reason}",
    wait_many: "このキー、またはこの接続元から開ける会話の数がいっぱいです。自動でもう一度つなぎます。",
    wait_full: "ただいま新しい会話を受け付けていません。自動でもう一度つなぎます。",
    load_failed: "キャラクターを読み込めませんでした。",
    no_characters: "このサーバーにはまだキャラクターがいません。",
    error_generic: "うまくいきませんでした：{message}",
    error_rate: "少し速すぎます。しばらく待ってからもう一度どうぞ。",
    error_full: "ただいま混み合っています。しばらくしてからもう一度どうぞ。",
    error_rate_for: "少し速すぎます。あと {s} 秒で、また話せます。",
    error_full_for: "ただいま混み合っています。あと {s} 秒で、また話せます。",
    error_engine: "この返事の途中でエンジンが止まりました。別の言い方で話しかけてみてください。",
    wait_over: "また話せます。",
    dismiss: "閉じる",
    key_title: "このサーバーにはキーが必要です",
    key_body: "API キーを入力してください。このタブの中だけに保存され、閉じると消えます。",
    key_label: "API キー",
    key_wrong: "このキーは受け付けられませんでした。",
    key_ended: "キーの期限が切れたか、取り消されました。別のキーを入力してください。",
    key_scope: "そのキーでは会話を開けません。別のキーを入力してください。",
    key_submit: "続ける",
    own_title: "あなたとキャラクター",
    own_open: "名前などの設定",
    own_name: "あなたの名前",
    own_name_hint: "キャラクターがこの名前で呼びます。",
    own_first: "自分から話す",
    own_first_hint: "一分ほど静かだと、キャラクターから話しかけます。",
    own_done: "完了",
    add_card: "追加",
    add_card_label: "カードのファイル（PNG・JSON・CHARX）からキャラクターを追加",
    drop_here: "ここにキャラクターカードをドロップ",
    drop_kinds: "PNG・JSON・CHARX",
    card_sending: "{name} を読み込み中… {percent} %",
    card_added: "{name}が来ました。",
    card_refused: "{name} は使えませんでした。{message}",
    card_kind: "{name} はキャラクターカードではありません。PNG・JSON・CHARX のファイルを選んでください。",
    card_lost: "サーバーから返事がありません。",
    other_greeting: "別のあいさつ",
    memory_summarised: "{name}が覚えている、これまでの話",
    memory_compacted: "{name}はいちばん古い会話をもう読みません。",
    memory_noted: "{name}が思い出したこと",
    memory_edit: "編集",
    memory_save: "保存",
    memory_cancel: "やめる",
    memory_label: "キャラクターが覚えていること",
    memory_empty: "（なし）",
    feel_happy: "うれしい",
    feel_sad: "かなしい",
    feel_angry: "おこり",
    feel_relaxed: "おだやか",
    feel_surprised: "びっくり",
    feel_neutral: "ふつう",
    live_title: "一歩ずつ、みんな一緒に",
    live_lead:
      "縦の一列がエンジンの一ステップです。返事はステップの合間に加わり、終わればすぐ抜けます。誰もバッチが埋まるのを待ちません。",
    live_running: "実行中",
    live_waiting: "待機中",
    live_kv: "KV ブロック",
    live_tps: "トークン / 秒",
    live_lanes: "実行中のバッチ",
    live_load: "ステップごとの実行中と待機中",
    live_memory: "KV メモリ",
    live_speed: "毎秒のトークン数",
    legend_prefill: "プロンプトを読む",
    legend_decode: "1 トークン",
    legend_join: "加わる",
    legend_leave: "抜ける",
    legend_running: "実行中",
    legend_waiting: "待機中",
    kv_used: "使用中",
    kv_cached: "再利用可",
    kv_free: "空き",
    of: "/ {n}",
    pause: "一時停止",
    resume: "再開",
    zoom_in: "ステップを広く",
    zoom_out: "ステップを狭く",
    live_state_connecting: "エンジンに接続中…",
    live_state_open: "ライブ",
    live_state_lost: "信号がありません。再試行中…",
    live_state_paused: "一時停止中",
    live_idle: "エンジンは休んでいます。会話を始めると動き出します。",
    live_summary:
      "実行中 {running}、待機中 {waiting}、KV ブロック {total} のうち {used} を使用、毎秒 {tps} トークン。",
    lanes_label: "実行中のバッチの動画：返事ごとに一段、ステップごとに一列。",
    load_label: "各ステップの実行中と待機中の数。",
    memory_label: "KV メモリのブロック：使用中、再利用可、空き。",
    speed_label: "直近一分間の毎秒トークン数。",
    lasted: "最大 {n}",
    minute: "直近 60 秒",
    idle_gap: "休止",
    step_ms: "1 ステップ {ms} ms",
  },
};

let current = "en";

/** @returns {"en"|"ja"} the interface language now */
export function language() {
  return current;
}

/** @param {"en"|"ja"} lang the language to speak from now on */
export function setLanguage(lang) {
  current = lang === "ja" ? "ja" : "en";
}

/**
 * A phrase in the current language.
 * @param {string} key phrase name
 * @param {Record<string, string|number>} [values] what replaces `{name}`
 * @returns {string}
 */
export function t(key, values = {}) {
  const phrase = WORDS[current][key] ?? WORDS.en[key] ?? key;
  return phrase.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/**
 * Whether a phrase exists.
 * @param {string} key phrase name
 * @returns {boolean}
 */
export function has(key) {
  return Object.hasOwn(WORDS.en, key);
}

/**
 * A text that the server gave in one or more languages.
 * @param {unknown} text a string, or an object such as `{en, ja}`
 * @param {string} [fallback] when there is none
 * @returns {string}
 */
export function localised(text, fallback = "") {
  if (typeof text === "string") return text;
  if (text && typeof text === "object") {
    const found = text[current] || text.en || text.ja || Object.values(text)[0];
    if (typeof found === "string") return found;
  }
  return fallback;
}

/**
 * Put the current language into every element that asks for a phrase.
 * @param {ParentNode} [root] where to look
 */
export function translatePage(root = document) {
  document.documentElement.lang = current;
  document.title = t("title");
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of root.querySelectorAll("[data-t-label]")) {
    node.setAttribute("aria-label", t(node.dataset.tLabel));
    if (node.matches("button")) node.title = t(node.dataset.tLabel);
  }
}
