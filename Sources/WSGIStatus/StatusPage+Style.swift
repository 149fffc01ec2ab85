extension StatusPage {
  static let style: StaticString = """
    :root { --back: #f5f6f8; --card: #fff; --text: #1c2128; --soft: #626c78; --line: #dfe3e8; --good: #1a7f45;
      --warn: #9a5b00; --bad: #c4271b; --bar: #3b73c9; }
    @media (prefers-color-scheme: dark) { :root { --back: #14171b; --card: #1d2127; --text: #e4e7eb; --soft: #98a2ae;
      --line: #333a43; --good: #54c98a; --warn: #e3a64b; --bad: #ff7b6e; --bar: #6a9ff0; } }
    * { box-sizing: border-box; margin: 0; padding: 0; }
    body { background: var(--back); color: var(--text); font: 15px/1.45 system-ui, sans-serif; max-width: 72rem;
      margin: 0 auto; padding: 1.25rem 1rem; }
    a { color: var(--bar); }
    header, footer { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; justify-content: space-between;
      align-items: baseline; }
    header p, footer { color: var(--soft); font-size: .87rem; }
    h1 { font-size: 1.25rem; }
    h1 span { color: var(--soft); font-weight: 400; overflow-wrap: anywhere; }
    section { background: var(--card); border: 1px solid var(--line); border-left: 4px solid var(--good);
      border-radius: 6px; margin: .9rem 0; padding: .85rem 1rem; }
    h2 { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; font-size: 1.08rem; overflow-wrap: anywhere; }
    .state { color: var(--good); border: 1px solid; border-radius: 1rem; font-size: .75rem; font-weight: 600;
      padding: 0 .55rem; }
    .s-starting, .s-degraded { border-left-color: var(--warn); }
    .s-starting .state, .s-degraded .state { color: var(--warn); }
    .s-down, .s-failed { border-left-color: var(--bad); }
    .s-down .state, .s-failed .state { color: var(--bad); }
    dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(7.6rem, 1fr)); gap: .6rem 1rem; margin: .6rem 0; }
    dt { color: var(--soft); font-size: .8rem; }
    dd { font-size: 1.2rem; font-variant-numeric: tabular-nums; }
    small { color: var(--soft); font-size: .8rem; }
    dd.bad, li.bad { color: var(--bad); }
    .meter { display: block; height: 4px; background: var(--line); border-radius: 2px; overflow: hidden; margin-top: .2rem; }
    .meter b { display: block; height: 100%; background: var(--bar); }
    ul { list-style: none; font-size: .9rem; }
    li { padding: .1rem 0; overflow-wrap: anywhere; }
    em { font-style: normal; font-weight: 600; }
    .scroll { overflow-x: auto; margin-top: .5rem; }
    table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
    th { color: var(--soft); font-size: .8rem; font-weight: 500; text-align: left; }
    th, td { border-bottom: 1px solid var(--line); padding: .25rem 1rem .25rem 0; white-space: nowrap; }
    tr:last-child td { border-bottom: 0; }
    .n { text-align: right; padding-right: 0; padding-left: 1rem; }
    .none { color: var(--soft); }
    @media (max-width: 36rem) { body { padding: .8rem .6rem; } section { padding: .7rem .75rem; }
      dl { grid-template-columns: repeat(auto-fit, minmax(6rem, 1fr)); }
      table { font-size: .8rem; } th { font-size: .72rem; } th, td { padding-right: .4rem; } .n { padding-left: .4rem; } }

    """
}
