"""Bilingual word lists: the foods, places, jobs and pastimes that dialogues are about."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Term:
    """One thing with its English and its Japanese name."""

    en: str
    ja: str

    def text(self, language: str) -> str:
        """Return the name in ``language`` (``"en"`` or ``"ja"``)."""
        return self.ja if language == "ja" else self.en


def _terms(table: str) -> tuple[Term, ...]:
    pairs = (
        entry.strip().split("=") for entry in table.replace("\n", ",").split(",") if entry.strip()
    )
    return tuple(Term(en, ja) for en, ja in pairs)


FOODS = _terms("""
ramen=ラーメン,sushi=寿司,pizza=ピザ,curry=カレー,apples=りんご,bananas=バナナ,strawberries=いちご
oranges=みかん,grapes=ぶどう,peaches=桃,melon=メロン,watermelon=すいか,chocolate=チョコレート
ice cream=アイスクリーム,cake=ケーキ,pudding=プリン,cookies=クッキー,pancakes=パンケーキ
bread=パン,rice balls=おにぎり,tempura=天ぷら,udon=うどん,soba=そば,okonomiyaki=お好み焼き
takoyaki=たこ焼き,fried chicken=唐揚げ,hamburgers=ハンバーガー,spaghetti=スパゲッティ,pasta=パスタ
salad=サラダ,soup=スープ,miso soup=味噌汁,cheese=チーズ,eggs=卵,tofu=豆腐,natto=納豆,fish=魚
steak=ステーキ,tomatoes=トマト,carrots=にんじん,onions=玉ねぎ,mushrooms=きのこ
green peppers=ピーマン,celery=セロリ,eggplant=なす,pumpkin=かぼちゃ,potatoes=じゃがいも
corn=とうもろこし,spinach=ほうれん草,broccoli=ブロッコリー,cucumbers=きゅうり,mochi=餅,dango=団子
taiyaki=たい焼き,melon bread=メロンパン,sandwiches=サンドイッチ,tacos=タコス,dumplings=餃子
noodles=麺,fried rice=チャーハン,kimchi=キムチ,popcorn=ポップコーン,donuts=ドーナツ
waffles=ワッフル,honey=はちみつ,yogurt=ヨーグルト,lemons=レモン,cherries=さくらんぼ,pears=梨
shrimp=えび,crab=かに,salmon=鮭,tuna=まぐろ,omelette rice=オムライス,hot pot=鍋,stew=シチュー
gratin=グラタン,croissants=クロワッサン,apple pie=アップルパイ,cheesecake=チーズケーキ
matcha sweets=抹茶スイーツ,tea=お茶,green tea=緑茶,coffee=コーヒー,milk=牛乳,cocoa=ココア
lemonade=レモネード,orange juice=オレンジジュース
""")

HOBBIES = _terms("""
painting=絵を描くこと,reading=読書,cooking=料理,baking=お菓子作り,gardening=ガーデニング
fishing=釣り,hiking=ハイキング,camping=キャンプ,swimming=水泳,running=ランニング
cycling=サイクリング,dancing=ダンス,singing=歌うこと,photography=写真,knitting=編み物,sewing=裁縫
chess=チェス,shogi=将棋,video games=ゲーム,board games=ボードゲーム,stargazing=星を見ること
playing the piano=ピアノ,playing the guitar=ギター,playing the violin=バイオリン
playing the drums=ドラム,tennis=テニス,soccer=サッカー,baseball=野球,basketball=バスケットボール
volleyball=バレーボール,karate=空手,judo=柔道,kendo=剣道,calligraphy=書道,flower arranging=生け花
tea ceremony=茶道,origami=折り紙,pottery=陶芸,writing stories=物語を書くこと,poetry=詩,movies=映画
anime=アニメ,manga=漫画,jazz=ジャズ,rock music=ロック,classical music=クラシック音楽
karaoke=カラオケ,skiing=スキー,skating=スケート,surfing=サーフィン,yoga=ヨガ,climbing=クライミング
travelling=旅行,shopping=買い物,programming=プログラミング,robots=ロボット,puzzles=パズル
magic tricks=手品,birdwatching=バードウォッチング,trains=電車,astronomy=天文学,history=歴史
mathematics=数学,archery=弓道,badminton=バドミントン,table tennis=卓球,napping=昼寝
collecting stamps=切手集め,collecting stones=石集め,walking=散歩
""")

THINGS = _terms("""
cats=猫,dogs=犬,rabbits=うさぎ,birds=鳥,horses=馬,penguins=ペンギン,pandas=パンダ,foxes=きつね
owls=ふくろう,whales=くじら,dolphins=イルカ,hamsters=ハムスター,turtles=亀,frogs=かえる,snakes=蛇
spiders=蜘蛛,insects=虫,mosquitoes=蚊,ghosts=おばけ,dragons=ドラゴン,rain=雨,snow=雪,thunder=雷
storms=嵐,the sea=海,mountains=山,forests=森,rivers=川,stars=星,the moon=月,the sky=空,clouds=雲
flowers=花,roses=バラ,sunflowers=ひまわり,cherry blossoms=桜,spring=春,summer=夏,autumn=秋
winter=冬,festivals=お祭り,fireworks=花火,old books=古い本,libraries=図書館,museums=美術館
cafes=カフェ,hot springs=温泉,music=音楽,early mornings=早起き,crowds=人混み,loud noises=大きな音
homework=宿題,exams=試験,lies=嘘,mondays=月曜日,dark places=暗い場所,high places=高い場所
cold weather=寒さ,hot weather=暑さ,long meetings=長い会議,cleaning=掃除,dentists=歯医者
traffic=渋滞,sunsets=夕焼け,letters=手紙,dolls=人形,stuffed animals=ぬいぐるみ,hats=帽子,maps=地図
machines=機械,planes=飛行機,ships=船,bicycles=自転車,candles=ろうそく,silence=静けさ
card games=カードゲーム,old songs=古い歌,school=学校
""")

CITIES = _terms("""
Tokyo=東京,Osaka=大阪,Kyoto=京都,Nagoya=名古屋,Sapporo=札幌,Fukuoka=福岡,Sendai=仙台
Hiroshima=広島,Kobe=神戸,Yokohama=横浜,Nara=奈良,Nagano=長野,Okinawa=沖縄,Hokkaido=北海道
Kanazawa=金沢,Hakodate=函館,Kamakura=鎌倉,Nagasaki=長崎,Kagoshima=鹿児島,Niigata=新潟
Shizuoka=静岡,Matsuyama=松山,Aomori=青森,Akita=秋田,Kumamoto=熊本,Okayama=岡山,London=ロンドン
Paris=パリ,Berlin=ベルリン,Rome=ローマ,Madrid=マドリード,New York=ニューヨーク,Boston=ボストン
Chicago=シカゴ,Seattle=シアトル,Toronto=トロント,Sydney=シドニー,Seoul=ソウル,Beijing=北京
Shanghai=上海,Taipei=台北,Bangkok=バンコク,Hanoi=ハノイ,Delhi=デリー,Cairo=カイロ,Nairobi=ナイロビ
Lima=リマ,Vienna=ウィーン,Prague=プラハ,Oslo=オスロ,Stockholm=ストックホルム,Helsinki=ヘルシンキ
Lisbon=リスボン,Dublin=ダブリン,Amsterdam=アムステルダム,Singapore=シンガポール,Hawaii=ハワイ
Canada=カナダ,France=フランス,Germany=ドイツ,Italy=イタリア,Spain=スペイン,Brazil=ブラジル
Mexico=メキシコ,India=インド,Australia=オーストラリア,Japan=日本,America=アメリカ
""")

JOBS = _terms("""
a student=学生,a high school student=高校生,a university student=大学生,a teacher=教師
a nurse=看護師,a doctor=医者,an engineer=エンジニア,a programmer=プログラマー,a cook=料理人
a baker=パン職人,a librarian=司書,an artist=画家,a musician=音楽家,a singer=歌手,a writer=作家
a journalist=記者,a photographer=写真家,a farmer=農家,a fisherman=漁師,a carpenter=大工
a gardener=庭師,a florist=花屋,a barista=バリスタ,a waiter=ウェイター,a driver=運転手
a pilot=パイロット,a police officer=警察官,a firefighter=消防士,a lawyer=弁護士
an architect=建築家,a designer=デザイナー,a dancer=ダンサー,an actor=俳優,a scientist=科学者
an astronomer=天文学者,a detective=探偵,a blacksmith=鍛冶屋,a witch=魔女,a wizard=魔法使い
a knight=騎士,a princess=お姫様,a pirate=海賊,a ninja=忍者,a samurai=侍,a robot=ロボット
a mechanic=整備士,a dentist=歯医者,a vet=獣医,a shopkeeper=店主,a shrine maiden=巫女
an office worker=会社員,a translator=翻訳家,a tailor=仕立て屋,an explorer=冒険家,a sailor=船乗り
an innkeeper=宿屋の主人,a museum guide=博物館の案内係,a lighthouse keeper=灯台守
""")

COLOURS = _terms("""
red=赤,blue=青,green=緑,yellow=黄色,orange=オレンジ色,purple=紫,pink=ピンク,white=白,black=黒
brown=茶色,grey=灰色,gold=金色,silver=銀色,sky blue=水色,navy=紺色,turquoise=ターコイズ
violet=すみれ色,dark green=深緑
""")

PETS = _terms("""
a cat=猫,a dog=犬,a rabbit=うさぎ,a hamster=ハムスター,a parrot=オウム,a turtle=亀,a goldfish=金魚
a lizard=トカゲ,a ferret=フェレット,a hedgehog=ハリネズミ,a horse=馬,an owl=ふくろう,a fox=きつね
a small dragon=小さなドラゴン,a canary=カナリア,a snake=蛇,a frog=かえる,a duck=アヒル
""")

_FOOD_WORDS = _terms("""
spicy=辛い,cold=冷たい,sweet=甘い,homemade=手作りの,fresh=新鮮な,grilled=焼いた,salty=しょっぱい
warm=温かい,vegetarian=ベジタリアンの,crunchy=カリカリの,cheap=安い,frozen=冷凍の,fried=揚げた
green=緑の,big=大きな,tiny=ちっちゃな
""")
_THING_WORDS = _terms("""
old=古い,small=小さい,blue=青い,white=白い,black=黒い,quiet=静かな,big=大きい,strange=不思議な
red=赤い,wild=野生の,golden=金色の,beautiful=きれいな,foreign=外国の,new=新しい,funny=面白い
lonely=寂しい
""")

EVERYTHING = FOODS + HOBBIES + THINGS


def food(rng: random.Random) -> Term:
    """Draw a food, in one case of four with an adjective before it."""
    return _maybe_compound(rng, FOODS, _FOOD_WORDS)


def thing(rng: random.Random) -> Term:
    """Draw a thing that one may like or dislike, sometimes with an adjective before it."""
    return _maybe_compound(rng, THINGS, _THING_WORDS)


def anything(rng: random.Random) -> Term:
    """Draw a food, a pastime or a thing."""
    return rng.choice((food, thing, lambda source: source.choice(HOBBIES)))(rng)


def _maybe_compound(rng: random.Random, nouns: tuple[Term, ...], words: tuple[Term, ...]) -> Term:
    noun = rng.choice(nouns)
    if rng.random() < 0.75 or noun.en.startswith("the "):
        return noun
    word = rng.choice(words)
    return Term(f"{word.en} {noun.en}", word.ja + noun.ja)
