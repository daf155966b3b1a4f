"""Common English words of at most eight letters: one token each in most large vocabularies."""

from __future__ import annotations

_TEXT = """
    about above across action after again against age air all almost alone along already also
    always among amount and animal another answer any anyone area arm around art ask away back bad
    ball bank base beach bear beat become bed before begin behind best better between big bird
    black blue board boat body book both bottom box boy bread break bridge bright bring brother
    build burn business busy buy call car card care carry case cat catch cause center certain
    chair chance change child city class clean clear close cloud coat cold color come common cook
    cool copy corner cost could count country course cover cross cry cup cut dance dark day dead
    deal deep desk die door down draw dream dress drink drive drop dry each ear early earth east
    easy eat edge egg eight end engine enough even evening ever every eye face fact fall family
    far farm fast father feel few field fight fill film find fine finger fire first fish five
    floor flower fly follow food foot force forest form four free fresh friend from front fruit
    full game garden gas gift girl give glass gold good grass great green ground group grow guess
    hair half hall hand happy hard hat head hear heart heat heavy help here high hill history
    hold hole home hope horse hot hour house how human hundred ice idea inside island join jump
    just keep key kind king kitchen know land large last late laugh law lead learn leave left leg
    less letter level life light like line list listen little live long look lose love low lucky
    machine make man many map market matter meal meet memory middle milk mind minute miss money
    month moon more morning most mother mouth move much music name near neck need never new next
    night nine north nose note nothing now number ocean off office often oil old once one only
    open orange order other out over own page pain paint paper park part party past path pay peace
    people perhaps person phone piano picture piece place plan plant play please point poor post
    power press price pull push put quick quiet quite race radio rain reach read ready real red
    rest rice rich ride right ring rise river road rock roof room round rule run sad safe sail
    salt same sand save say school sea seat second see seem sell send seven shape share sharp ship
    shoe shop short should show side sign silver simple sing sister sit six size skin sky sleep
    slow small smile snow soft some son song soon sound south space speak spring stage stand star
    start state stay step still stone stop store storm story street strong study such sugar
    summer sun sure sweet swim table take talk tall taste tea teach team tell ten test thank than
    that them then there these they thing think third this those three through time tired today
    together too top touch town trade train travel tree trip true try turn twelve two under until
    upon use valley very visit voice wait walk wall want warm wash watch water wave way wear
    weather week well west what wheel when where which while white who whole why wide wild will
    wind window winter wish with woman wonder wood word work world worry would write year yellow
    yes yet you young
"""
PLAIN_WORDS = tuple(_TEXT.split())
