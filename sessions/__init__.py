"""The house of Koda Web: sessions of coding agents, kept whole and watched live."""
