/**
 * A program for the builder's image, which has perl because git has: it takes in one file over a port. `port key bytes file`; whoever comes says the key,
 * then so many bytes; is told `ok` when they are all there, and then there is no port any more. Has no `'` in it: it travels inside a shell's.
 */
export const receiveContext = String.raw`
use strict;
my ($port, $bytes, $file) = @ARGV;
my $key = $ENV{BUILD_CONTEXT_KEY};
my @any = (LocalPort => $port, Listen => 8, ReuseAddr => 1);
my $door = IO::Socket::IP->new(LocalHost => "::", V6Only => 0, @any) || IO::Socket::IP->new(LocalHost => "0.0.0.0", @any) or die "no port: $!\n";
$SIG{ALRM} = sub { die "stuck\n" };
$SIG{PIPE} = "IGNORE";
sub take {
  my ($from, $most) = @_;
  alarm 90;
  my $count = sysread($from, my $data, $most);
  alarm 0;
  return $count ? $data : die "cut short\n";
}
while (1) {
  my $from = $door->accept or next;
  my $done = eval {
    my $said = "";
    $said .= take($from, length($key) - length($said)) while length($said) < length($key);
    die "a stranger\n" if $said ne $key;
    open(my $to, ">", "$file.part") or die "$!\n";
    my $left = $bytes;
    while ($left > 0) {
      my $data = take($from, $left < 65536 ? $left : 65536);
      print $to $data or die "$!\n";
      $left -= length($data);
    }
    close($to) or die "$!\n";
    rename("$file.part", $file) or die "$!\n";
    syswrite($from, "ok");
    1;
  };
  exit 0 if $done;
  print STDERR "== it did not come whole: $@";
}`
