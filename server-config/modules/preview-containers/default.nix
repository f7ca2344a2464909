{
  imports = [
    ../../flags.nix
    ./options.nix
    ./assertions.nix
    ./network.nix
    ./limits.nix
    ./garbage.nix
  ];
}
