main() {
    dx download "$text" --output text
    lines=$(wc -l < text)
    if [[ $lines == 0 ]]; then
        dx-jobutil-report-error "$text_name has no lines. Give a text with some." AppError
        exit 1
    fi
    echo "$text_name has $lines lines" > report.txt
    dx-jobutil-add-output lines "$lines" --class int
    dx-jobutil-add-output report "$(dx upload report.txt --brief)" --class file
}
