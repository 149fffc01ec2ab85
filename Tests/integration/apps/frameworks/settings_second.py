from settings_first import *  # noqa: F401,F403

NAME = "second"
