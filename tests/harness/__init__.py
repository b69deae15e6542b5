"""What black-box tests share: `server` starts the real program, `http` talks to it, `content` builds what is pushed,
`repository` does the usual steps of a push, `rules` checks what must hold for every answer of the registry."""
