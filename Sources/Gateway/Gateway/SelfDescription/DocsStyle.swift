/// The style of the docs page: follows the reader's light or dark preference, prints.
enum DocsStyle {
    static let css = """
        :root{--ink:#1c2430;--soft:#5b6776;--line:#dfe4ea;--back:#fff;--panel:#f5f7fa;--accent:#0b6e99}
        @media(prefers-color-scheme:dark){:root{--ink:#e4e9f0;--soft:#9aa7b6;--line:#2c3642;--back:#12171e;--panel:#1a212a;--accent:#5cb8dd}}
        *{box-sizing:border-box}html{scroll-behavior:smooth;scroll-padding-top:1rem}
        body{margin:0;color:var(--ink);background:var(--back);font:16px/1.55 system-ui,"Noto Sans",sans-serif}
        header{padding:2.5rem clamp(1rem,5vw,4rem) 1.75rem;border-bottom:1px solid var(--line);background:var(--panel)}
        h1{margin:0;font-size:2.1rem;letter-spacing:-.02em}.lead{margin:.35rem 0 0;color:var(--soft);font-size:1.1rem}
        .version{float:right;margin:.4rem 0 0;color:var(--soft);font-size:.9rem}a{color:var(--accent)}
        .page{display:grid;grid-template-columns:19rem minmax(0,58rem);gap:clamp(1.5rem,4vw,4rem);padding:0 clamp(1rem,5vw,4rem) 4rem}
        nav{position:sticky;top:0;align-self:start;max-height:100vh;overflow:auto;padding:1.5rem 0;font-size:.88rem}
        nav h2{margin:1rem 0 .3rem;font-size:.95rem}nav a{color:inherit;text-decoration:none}nav a:hover{color:var(--accent)}
        nav ul{margin:0;padding:0;list-style:none}nav li{padding:.16rem 0 .16rem 3.4rem;text-indent:-3.4rem}
        main{padding:1.5rem 0}section>h2{margin:2.5rem 0 .5rem;padding-bottom:.3rem;border-bottom:2px solid var(--accent)}
        article{margin:1.25rem 0;padding:1rem 1.25rem;border:1px solid var(--line);border-radius:.6rem}
        article:target,tr:target{outline:2px solid var(--accent)}h3{margin:0;font-size:1.08rem}h3 a{color:inherit;text-decoration:none}
        .path{margin:.35rem 0}.path code{overflow-wrap:anywhere}var{color:var(--accent);font-style:normal}
        code,pre{font:.88em/1.5 ui-monospace,"Cascadia Mono","DejaVu Sans Mono",monospace}
        pre{margin:.5rem 0;padding:.75rem 1rem;overflow:auto;background:var(--panel);border:1px solid var(--line);border-radius:.4rem}
        .method{display:inline-block;min-width:3.6rem;padding:.05rem .4rem;border-radius:.3rem;font:600 .72rem/1.5 ui-monospace,monospace;text-align:center;color:#fff;background:#64748b}
        nav .method{min-width:3.1rem;text-indent:0;font-size:.62rem;padding:0 .25rem}
        .get{background:#1d6fb8}.post{background:#1f7a4d}.put{background:#96620a}.patch{background:#7a4fb0}.delete{background:#b3372f}
        .public{margin-left:.6rem;padding:.05rem .5rem;border:1px solid var(--line);border-radius:1rem;font-size:.78rem;color:var(--soft)}
        .status{font-weight:600;font-variant-numeric:tabular-nums}.s2{color:#1f8a57}.s3{color:#1d7fc0}.s4{color:#b7791f}.s5{color:#cf4a41}
        details{margin:.4rem 0}summary{cursor:pointer;color:var(--soft);font-size:.92rem}
        table{width:100%;border-collapse:collapse;font-size:.93rem}th,td{padding:.35rem .75rem .35rem 0;border-top:1px solid var(--line);text-align:left;vertical-align:top}
        th{width:15rem;font-weight:400}th small{display:block;color:var(--soft)}small{color:var(--soft)}
        @media(max-width:60rem){.page{grid-template-columns:minmax(0,1fr)}nav{position:static;max-height:none;padding-bottom:0}.version{float:none}th{width:9rem}}
        @media print{nav{display:none}.page{display:block}details>*{display:block}}
        """
}
