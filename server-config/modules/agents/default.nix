{
  imports = [
    ../../flags.nix
    ./options.nix
    ./assertions.nix
    ./image.nix
  ];
}
