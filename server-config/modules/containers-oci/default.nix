{
  imports = [
    ../../flags.nix
    ./options.nix
    ./assertions.nix
    ./quadlets.nix
  ];
}
