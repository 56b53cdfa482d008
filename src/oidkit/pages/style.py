"""How a page looks: in light and dark, on a narrow screen and on paper."""

from __future__ import annotations

__all__ = ["STYLE"]

_LIGHT = (
    "--page:#f7f8fa;--card:#fff;--ink:#1b1f24;--soft:#565e68;--rule:#d9dde2;"
    "--accent:#1257b8;--bar:#2f6fd0;--bad:#a3270d"
)
_DARK = (
    "--page:#111417;--card:#1a1e23;--ink:#e7eaee;--soft:#a9b1bb;--rule:#343a42;"
    "--accent:#8fbcff;--bar:#6ea4f0;--bad:#ffab93"
)

STYLE = (
    f":root{{color-scheme:light dark;{_LIGHT}}}"
    f"@media (prefers-color-scheme:dark){{:root{{{_DARK}}}}}"
    f"@media print{{:root{{color-scheme:light;{_LIGHT};--page:#fff}}}}"
    """
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
header,main,footer{max-width:74rem;margin:0 auto;padding:0 1.25rem}
header{padding-top:2rem}
h1{font-size:2rem;line-height:1.2;margin:0;overflow-wrap:anywhere}
h2{font-size:1.35rem;margin:2.75rem 0 .75rem;padding-top:.5rem;border-top:1px solid var(--rule)}
h3{font-size:1.05rem;margin:1.5rem 0 .5rem}
p{margin:.5rem 0;max-width:46rem}
a{color:var(--accent)}
header p{color:var(--soft)}
nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1.1rem;list-style:none;padding:0;margin:1rem 0 0}
.bad{color:var(--bad);font-weight:600}
dl.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.75rem;
margin:1.25rem 0 0}
dl.tiles div{background:var(--card);border:1px solid var(--rule);border-radius:.5rem;
padding:.6rem .9rem;display:flex;flex-direction:column-reverse}
dl.tiles dt{color:var(--soft);font-size:.875rem}
dl.tiles dd{margin:0;font-size:1.5rem;font-weight:650;font-variant-numeric:tabular-nums}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:1rem;
align-items:start}
.card{background:var(--card);border:1px solid var(--rule);border-radius:.5rem;
padding:.75rem 1rem;min-width:0}
.card p{color:var(--soft);font-size:.875rem;margin:.5rem 0 0}
.card+.card,.scroll+.scroll,.card+.scroll,.scroll+.card{margin-top:1rem}
.cards .card{margin-top:0}
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--rule);border-radius:.5rem;
padding:.75rem 1rem}
.card .scroll{border:0;padding:0}
table{border-collapse:collapse;width:100%;font-size:.9375rem}
caption{text-align:left;font-weight:600;padding-bottom:.4rem}
th,td{text-align:left;padding:.2rem .9rem .2rem 0;vertical-align:top}
tbody th{font-weight:400;overflow-wrap:anywhere}
tbody td{overflow-wrap:anywhere}
.scroll td{overflow-wrap:normal}
.scroll tbody th{min-width:8rem}
thead th{color:var(--soft);font-weight:500;font-size:.8125rem}
thead tr{border-bottom:1px solid var(--rule)}
.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.bars .b{width:40%;padding-right:0;vertical-align:middle}
.bars .b svg{display:block;width:100%;height:.75rem;fill:var(--bar)}
.swatch{display:inline-block;width:.75em;height:.75em;border-radius:2px;margin-right:.15em}
.asked tbody th{color:var(--soft);width:11rem;overflow-wrap:normal}
figure{margin:0}
.card figcaption{font-weight:600;font-size:.9375rem;padding-bottom:.4rem}
.map{display:block;width:100%;max-width:17rem;margin:0 auto;fill:var(--bar)}
.sheet{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,15rem),1fr));gap:1rem}
.sheet figure{background:var(--card);border:1px solid var(--rule);border-radius:.5rem;
overflow:hidden}
.sheet img{display:block;width:100%;height:13rem;object-fit:contain;background:var(--page)}
.sheet figcaption{padding:.5rem .75rem .7rem;font-size:.8125rem;overflow-wrap:anywhere}
.sheet figcaption span{display:block;margin-top:.2rem}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.875em}
pre{background:var(--card);border:1px solid var(--rule);border-radius:.5rem;padding:.75rem 1rem;
overflow-x:auto}
footer{color:var(--soft);font-size:.875rem;padding-top:2rem;padding-bottom:2.5rem}
@media (max-width:36rem){.asked tbody th{width:6.5rem}.bars .b{width:24%}
th,td{padding-right:.6rem}h1{font-size:1.6rem}}
@media print{nav{display:none}body{font-size:11pt}.card,.scroll,figure{break-inside:avoid}
.scroll,pre{overflow:visible}pre{white-space:pre-wrap}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""
)
"""The style sheet of a page; colours of text have a contrast of 4.5 and more on what is below."""
