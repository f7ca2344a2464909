{
  imports = [
    ../../flags.nix
    ../hostctl
    ./options.nix
    ./assertions.nix
    ./timer.nix
  ];
}
