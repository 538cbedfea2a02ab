"""The loader of plugins: there are none."""


def register_third_party_plugins() -> None:
    print("a line that LeRobot prints, where only answers belong")
