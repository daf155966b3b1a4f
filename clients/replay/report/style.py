"""How a page looks: by day, by night, and on a screen of 360 px."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--ink:#1c2024;--paper:#fff;--line:#d8dde2;--soft:#5a6168;
--alarm:#b3261e;--alarm-paper:#fdecea}
@media (prefers-color-scheme:dark){
:root{--ink:#e8eaec;--paper:#15181b;--line:#33393f;--soft:#9aa2aa;
--alarm:#ffb4ab;--alarm-paper:#3b1512}}
*{box-sizing:border-box}
body{margin:2rem auto;max-width:80rem;padding:0 1rem;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,"Hiragino Sans","Noto Sans CJK JP",sans-serif;overflow-wrap:anywhere}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2.2rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
.scroll{overflow-x:auto;overflow-wrap:normal}
th,td{padding:.2rem .8rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:var(--paper)}
.group td{font-weight:600;padding-top:.8rem}
.about td{white-space:normal;vertical-align:top;text-align:left;overflow-wrap:anywhere}
.about td:first-child{white-space:nowrap;min-width:0;overflow-wrap:normal;color:var(--soft)}
.charts{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:1rem;align-items:start;
margin-bottom:1rem}
figure{margin:0;border:1px solid var(--line);border-radius:8px;padding:.7rem;min-width:0}
figcaption b{display:block;font-weight:600}
figcaption small{display:block;color:var(--soft);font-size:.82rem;line-height:1.4;
margin-bottom:.3rem}
svg{display:block;width:100%;height:auto;overflow:visible}
svg text{fill:var(--soft);font-size:12px}svg text.row{font-size:8px}
.grid{stroke:var(--line);stroke-width:.6}
.legend{margin:.2rem 0 0;color:var(--soft);font-size:.85rem;line-height:1.35}
.legend span{display:inline-block;margin-right:1rem}
.legend i{display:inline-block;width:1.3rem;margin-right:.35rem;vertical-align:middle}
.alarm{border:1px solid var(--alarm);border-left-width:6px;border-radius:6px;padding:.5rem .8rem;
color:var(--alarm);background:var(--alarm-paper)}
details{border-top:1px solid var(--line);padding:.4rem 0}
summary{cursor:pointer;font-weight:600;padding:.2rem 0}
@media (max-width:50rem){.charts{grid-template-columns:minmax(0,1fr)}}
@media (max-width:30rem){
body{margin:1rem auto;padding:0 .7rem}th,td{padding:.2rem .45rem}
th:first-child,td:first-child{min-width:7.5rem;white-space:normal}
svg text{font-size:17px}svg text.row{display:none}}
@media print{details{break-inside:avoid}}
"""
